"""Static files, through the server: whole, conditional, and what browsers ask for by themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.contrib.staticfiles import finders

from tests.conftest import Api

CSS = "/static/megahub/admin.css"


def test_it_works(api: Api, recwarn: pytest.WarningsRecorder) -> None:
    response = api.get(CSS)

    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/css")
    assert response.content == Path(str(finders.find("megahub/admin.css"))).read_bytes()
    assert [str(warning.message) for warning in recwarn] == []


def test_a_head_and_what_has_not_changed(api: Api) -> None:
    whole = api.get(CSS)

    head = api.request("HEAD", CSS)
    again = api.get(CSS, headers={"If-Modified-Since": whole.headers["last-modified"]})
    part = api.get(CSS, headers={"Range": "bytes=3-7"})

    assert (head.status_code, head.headers["content-length"]) == (200, str(len(whole.content)))
    assert (again.status_code, again.content) == (304, b"")
    assert (part.status_code, part.content) == (206, whole.content[3:8])


def test_a_browser_finds_an_icon(api: Api) -> None:
    response = api.get("/favicon.ico")

    assert response.status_code == 200
    assert "icon" in response.headers["content-type"]
    assert response.content.startswith(b"\0\0\1\0")


@pytest.mark.parametrize("url", ["/static/nothing.css", "/static/../manage.py", "/static/%2e%2e/manage.py"])
def test_what_is_not_there(api: Api, url: str) -> None:
    assert api.get(url).status_code == 404
