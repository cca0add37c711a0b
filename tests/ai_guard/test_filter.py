"""The content filter: whole words, input and output, on every road; a blocked request costs nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ai_core.models import AIJob
from ai_guard.domain import rules
from ai_guard.models import Finding
from ai_guard.services import policies
from tests import world
from tests.ai_core.test_streams import stop, usage
from tests.conftest import Api
from tests.stubs import Scripted, chunk, completion
from tests.world import Cast

Provider = Callable[..., Scripted]
WORD = "Secret Plan"
V1, CHAT, JOBS = "/v1/chat/completions", "/ai/openai/chat/", "/ai/jobs/"


def chat(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}], **more}


DOORS: dict[str, Any] = {
    V1: chat("the  SECRET\nplan."),
    CHAT: chat("the secret plan", **{"async": True}),
    JOBS: {"job_type": "chat_completion", "input_data": chat("ＳＥＣＲＥＴ plan!")},
    "/v1/embeddings": {"model": "text-embedding-3-small", "input": "secret plan"},
    "/ai/batch-analysis/": {
        "contents": ["fine", "secret plan"],
        "analysis_type": "seo",
        "model": "gpt-4o-mini",
    },
}


def found(cast: Cast) -> list[tuple[str, str, int]]:
    rows = Finding.objects.of(cast.company.pk).order_by("pk")
    return [(row.direction, row.action, row.hits) for row in rows]


@pytest.mark.parametrize("door", DOORS)
def test_input_is_blocked(api: Api, cast: Cast, provider: Provider, rung: list[Any], door: str) -> None:
    policies.change(cast.company.pk, {"content_filter": "block", "words": [WORD]})
    budget = world.make_budget(cast.company, "5")
    scripted = provider(completion())

    response = api.as_(cast.alice).post(door, DOORS[door])

    assert response.status_code == 400
    assert "content_blocked" in response.text.lower()
    assert "plan" not in response.text.lower()
    assert AIJob.objects.of(cast.company.pk).count() == 0
    assert world.window(budget) is None
    assert scripted.calls == []
    assert found(cast) == [("input", "blocked", 1)]
    counted = api.as_(cast.alice).get("/ai/privacy/findings/?days=1").json()
    assert counted == {
        "days": 1,
        "findings": [{"direction": "input", "action": "blocked", "count": 1, "hits": 1}],
    }
    assert api.as_(cast.charlie).get("/ai/privacy/findings/").json() == {"days": 30, "findings": []}


@pytest.mark.parametrize("stream", [False, True])
def test_flagged_is_counted_and_told(api: Api, cast: Cast, provider: Provider, stream: bool) -> None:
    policies.change(cast.company.pk, {"content_filter": "flag", "words": [WORD, "answer"]})
    said = "the answer: a secret plan"
    provider(
        [chunk("the answer: a sec"), chunk("ret plan"), stop(), usage()] if stream else completion(said)
    )

    response = api.as_(cast.alice).post(V1, chat("what secret plan?", stream=stream))

    assert response.status_code == 200
    assert found(cast) == [("input", "flagged", 1), ("output", "flagged", 2)]
    assert AIJob.objects.of(cast.company.pk).get().status == "completed"


def test_output_is_blocked(api: Api, cast: Cast, provider: Provider) -> None:
    policies.change(cast.company.pk, {"content_filter": "block", "words": [WORD]})
    provider(completion("it is the secret plan"))

    response = api.as_(cast.alice).post(V1, chat("what is it?"))

    assert (response.status_code, response.json()["error"]["code"]) == (400, "content_blocked")
    row = AIJob.objects.of(cast.company.pk).get()
    assert (row.status, row.response) == ("failed", None)
    (entry,) = world.ledger(row.pk)
    assert (entry.kind, entry.output_tokens) == ("settle", 5)  # the provider has said it, and is paid
    assert found(cast) == [("output", "blocked", 1)]


@pytest.mark.parametrize("door", [V1, CHAT])
def test_a_stream_is_held_back(api: Api, cast: Cast, provider: Provider, door: str) -> None:
    policies.change(cast.company.pk, {"content_filter": "block", "words": [WORD]})
    provider([chunk("it is the sec"), chunk("ret plan"), stop(), usage()])

    response = api.as_(cast.alice).post(door, chat("what is it?", stream=True))

    assert "it is" not in response.text
    assert "content_blocked" in response.text.lower()
    provider([chunk("it is "), chunk("fine"), stop(), usage()])
    fine = api.as_(cast.alice).post(door, chat("what is it?", stream=True))
    assert fine.status_code == 200
    assert '"it is "' in fine.text


def test_off_looks_at_nothing(api: Api, cast: Cast, provider: Provider) -> None:
    policies.change(cast.company.pk, {"content_filter": "off", "words": [WORD]})
    provider(completion("secret plan"))

    assert api.as_(cast.alice).post(V1, chat("secret plan")).status_code == 200
    assert found(cast) == []


@pytest.mark.parametrize(
    ("text", "hit"),
    [
        ("a secret plan", True),
        ("secret plan", True),
        ("SECRET  PLAN", True),
        ("(secret plan)", True),
        ("secret plans", False),
        ("asecret plan", False),
        ("secret-plan", False),
        ("secret plans, a secret plan", True),
    ],
)
def test_whole_words(text: str, hit: bool) -> None:
    assert bool(rules.hits([rules.folded(WORD)], text)) == hit
