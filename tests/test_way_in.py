"""The way in: other origins, missing slashes, the first page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import Api
from tests.stubs import Scripted, completion
from tests.world import Cast

Provider = Callable[..., Scripted]
FRONTEND = "https://app.example.com"
BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}
CHAT = "/ai/openai/chat/"
LISTED = "/ai/jobs/"


@pytest.fixture
def frontend(settings: Any) -> str:
    settings.HUB_CORS_ORIGINS = [FRONTEND]
    return FRONTEND


def preflight(api: Api, path: str, origin: str) -> Any:
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    return api.as_(None).request("OPTIONS", path, headers=asked)


@pytest.mark.parametrize("path", [CHAT, LISTED])
class TestOtherOrigins:
    def test_closed_unless_named(self, api: Api, cast: Cast, path: str) -> None:
        response = api.as_(cast.alice).get(path, headers={"Origin": FRONTEND})

        assert response.status_code == 200
        assert not [name for name in response.headers if name.startswith("access-control")]

    def test_a_named_one_may_read(self, api: Api, cast: Cast, frontend: str, path: str) -> None:
        response = api.as_(cast.alice).get(path, headers={"Origin": frontend})

        assert response.headers["access-control-allow-origin"] == frontend
        assert "X-MegaHub-Warning" in response.headers["access-control-expose-headers"]
        assert "Origin" in response.headers["vary"]
        assert "access-control-allow-credentials" not in response.headers

    def test_errors_too(self, api: Api, frontend: str, path: str) -> None:
        response = api.as_(None).get(path, headers={"Origin": frontend})

        assert response.status_code == 401
        assert response.headers["access-control-allow-origin"] == frontend

    @pytest.mark.parametrize("origin", ["https://evil.example.com", "null", f"{FRONTEND}.evil.com", ""])
    def test_another_may_not(self, api: Api, cast: Cast, frontend: str, path: str, origin: str) -> None:
        response = api.as_(cast.alice).get(path, headers={"Origin": origin})

        assert response.status_code == 200
        assert "access-control-allow-origin" not in response.headers
        assert "Origin" in response.headers["vary"]

    def test_preflight(self, api: Api, frontend: str, path: str) -> None:
        response = preflight(api, path, frontend)

        assert response.status_code == 204
        assert response.headers["access-control-allow-origin"] == frontend
        for name in ("Authorization", "X-Brand-ID", "Idempotency-Key"):
            assert name in response.headers["access-control-allow-headers"]

    def test_preflight_of_another(self, api: Api, frontend: str, path: str) -> None:
        response = preflight(api, path, "https://evil.example.com")

        assert not [name for name in response.headers if name.startswith("access-control")]


def test_a_missing_slash_is_no_other_request(api: Api, cast: Cast, provider: Provider) -> None:
    """A redirect of old (301) would come back as a GET: 200 with something else entirely."""
    provider(completion("Hi."))

    answer = api.as_(cast.alice).post(CHAT.rstrip("/"), BODY)

    assert answer.status_code == 200
    assert answer.json()["result"]["completion"] == "Hi."


def test_on_the_ordinary_lane_it_is_redirected_as_it_was(api: Api, cast: Cast) -> None:
    moved = api.as_(cast.alice).post(LISTED.rstrip("/"), {"job_type": "chat_completion"})

    assert moved.status_code == 308
    assert moved.headers["location"] == LISTED


def test_the_first_page(api: Api) -> None:
    response = api.as_(None).get("/")

    assert (response.status_code, response.headers["location"]) == (302, "/docs/")
