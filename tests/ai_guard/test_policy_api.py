"""``/ai/privacy/policy/``: for the company's administrators alone."""

from __future__ import annotations

from typing import Any

import pytest

from ai_guard.models import GuardPolicy
from tests.conftest import Api
from tests.world import Cast

URL = "/ai/privacy/policy/"
DEFAULTS = {"prompts": "all", "keep_days": None, "content_filter": "off", "words": [], "moderation": False}


def test_it_works(api: Api, cast: Cast) -> None:
    caller = api.as_(cast.alice)
    assert caller.get(URL).json() == DEFAULTS
    assert GuardPolicy.objects.of(cast.company.pk).count() == 0

    put = caller.request("PUT", URL, json={"prompts": "masked", "keep_days": 30})
    patched = caller.request("PATCH", URL, json={"content_filter": "flag", "words": ["Secret plan"]})

    assert put.json() == {**DEFAULTS, "prompts": "masked", "keep_days": 30}
    whole = {
        "prompts": "masked",
        "keep_days": 30,
        "content_filter": "flag",
        "words": ["Secret plan"],
        "moderation": False,
    }
    assert (patched.status_code, patched.json()) == (200, whole)
    assert caller.get(URL).json() == whole
    assert api.as_(cast.charlie).get(URL).json() == DEFAULTS


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"prompts": "some"}, "prompts"),
        ({"prompts": None}, "prompts"),
        ({"keep_days": 0}, "keep_days"),
        ({"keep_days": 99999}, "keep_days"),
        ({"content_filter": "on"}, "content_filter"),
        ({"words": ["x"] * 501}, "words"),
        ({"words": [" "]}, "words"),
        ({"words": ["x" * 101]}, "words"),
        ({"words": "secret"}, "words"),
        ({"pattern": "(a+)+"}, "pattern"),
        ({"company": 1}, "company"),
    ],
)
def test_bad_input(api: Api, cast: Cast, changes: dict[str, Any], field: str) -> None:
    response = api.as_(cast.alice).request("PUT", URL, json=changes)

    assert response.status_code == 400
    assert field in response.text
    assert GuardPolicy.objects.of(cast.company.pk).count() == 0


def test_members_and_weak_keys_may_not(api: Api, cast: Cast) -> None:
    weak = cast.alice.api_key("inference", "usage:read")
    for who in (cast.bob, weak):
        for method, url in (
            ("GET", URL),
            ("PUT", URL),
            ("PATCH", URL),
            ("GET", "/ai/privacy/findings/"),
            ("GET", "/ai/privacy/erasures/"),
            ("POST", "/ai/privacy/erasures/"),
            ("GET", "/ai/privacy/export/?end_user=x"),
        ):
            assert api.as_(who).request(method, url, json={}).status_code == 403
    assert GuardPolicy.objects.of(cast.company.pk).count() == 0
