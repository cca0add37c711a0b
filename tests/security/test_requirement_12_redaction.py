"""Requirement 12: no header, key or body in a log, an error or a metric.

Regression: CVE-2024-9606 (five characters were shown), LiteLLM's guardrail logs with Authorization.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings as django_settings

from ai_providers.adapters.http import Answer
from ai_providers.adapters.openai import OpenAI
from ai_providers.domain.wire import Access
from megahub.kernel import logs
from tests import world
from tests.conftest import Api
from tests.stubs import Scripted
from tests.world import Cast

CANARY = "sk-proj-canary-Zx81kQp4tYw7abcdef"
PROMPT = "canary prompt 9f2c"


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """Everything that is logged meanwhile, as it is written in production."""
    root = logging.getLogger()
    kept = (root.handlers[:], root.level)
    logs.configure({"format": "json", "level": "DEBUG"})
    stream = io.StringIO()
    for handler in root.handlers:
        if type(handler) is logging.StreamHandler:
            handler.setStream(stream)
    yield stream
    logs.configure(django_settings.LOGGING)
    root.handlers[:], root.level = kept[0], kept[1]


def test_an_error_of_our_own_tells_neither(
    api: Api, cast: Cast, provider: Callable[..., Scripted], logged: io.StringIO
) -> None:
    provider(RuntimeError(f"boom {CANARY} Authorization: Bearer {CANARY}"))
    key = cast.alice.api_key()

    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": PROMPT}]}
    response = api.as_(key).post("/v1/chat/completions", body)

    assert response.status_code == 500
    said = logged.getvalue()
    assert "boom" in said  # it is logged, with its traceback
    for text in (response.text, said):
        for secret in (CANARY, CANARY[:12], key, key[:20], PROMPT):
            assert secret not in text


def test_bodies_and_headers_are_not_logged(api: Api, cast: Cast, logged: io.StringIO) -> None:
    key = cast.alice.api_key()
    caller = api.as_(key)
    caller.post("/v1/chat/completions", {"model": "gpt-4o-mini", "messages": PROMPT})
    caller.post("/ai/jobs/", {"job_type": PROMPT})
    caller.get(f"/ai/jobs/?search={PROMPT}")
    api.post("/auth/token/", {"username": "x", "password": CANARY})
    api.as_(cast.alice).post("/ai/credentials/", {"openai_api_key": CANARY + "!"})

    for secret in (CANARY, CANARY[:12], key, cast.alice.token, PROMPT):
        assert secret not in logged.getvalue()


@pytest.mark.parametrize(
    "said",
    [
        f"Incorrect key: {CANARY}",
        "Incorrect key: sk-proj-cana****cdef",
        f"Your header was 'Authorization: Bearer {CANARY}'",
        "mh_abcdefghij_" + "A" * 40,
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
    ],
)
def test_a_providers_error_does_not_quote_a_key(cast: Cast, said: str) -> None:
    access = Access(
        provider="openai", base_url="https://api.openai.com/v1", api_key=CANARY, source="company"
    )
    answer = Answer(400, {}, {"error": {"message": said, "code": "bad"}})

    error = OpenAI().error(access, answer, world.terms(cast.company, "gpt-4o-mini").spec)

    text = f"{error} {error.as_data()}"
    assert "[redacted]" in text
    for secret in (CANARY, "sk-proj-cana", "A" * 40, "eyJzdWIi"):
        assert secret not in text


def test_metrics_hold_no_tenant(api: Api, cast: Cast, settings: Any) -> None:
    settings.HUB_METRICS_TOKEN = "m" * 32
    world.submit(cast.alice, PROMPT, later=True)

    text = api.as_("m" * 32).get("/metrics").text

    assert "hub_" in text
    for secret in (PROMPT, cast.company.name, cast.alice.user.username):
        assert secret not in text


def test_metrics_are_closed(api: Api, cast: Cast) -> None:
    """LiteLLM #24530: /metrics was open."""
    for caller in (api, api.as_(cast.alice), api.as_("wrong")):
        assert caller.get("/metrics").status_code == 404
