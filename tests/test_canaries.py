"""That the look for secrets at the end of a run (tests/canaries.py) sees one."""

from __future__ import annotations

import pytest

from tests import canaries
from tests.canaries import Canaries
from tests.conftest import Api
from tests.world import Cast

KEY, TOKEN = "mh_abcdefghij_" + "Ab1" * 13 + "x", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("text", "is_found"),
    [
        (f"Authorization: Bearer {KEY}", True),
        (f'{{"key":"{KEY[:30]}"}}', True),
        (f"the token {TOKEN}.", True),
        ("signed in with 'correct horse'", True),
        (f"{KEY[:14]}… is her key", False),
        (f"{TOKEN[:20]} is how all of them begin", False),
        ("nothing", False),
    ],
)
def test_what_is_found(text: str, is_found: bool) -> None:
    own = Canaries()
    own.note(KEY, TOKEN)

    own.look("here", text.encode())

    assert own.found == ["here"] * is_found


def test_what_is_noted(api: Api, cast: Cast) -> None:
    provider_key = "sk-canary-of-the-canaries-0123456789"
    api.as_(cast.alice).post("/ai/credentials/", {"openai_api_key": provider_key})

    for secret in (cast.alice.token, cast.alice.api_key(), provider_key):
        own = Canaries()
        own.known = canaries.OURS.known
        own.look("here", secret.encode())
        assert own.found == ["here"]
