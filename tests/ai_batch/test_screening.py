"""The company's content filter on lines, in both engines: what is blocked, paid for, counted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ai_batch.models import Batch
from ai_batch.services import ingest, remote, screening
from ai_batch.services.running import Work
from ai_core.services import moderating
from ai_guard.models import Finding
from ai_guard.services import policies
from ai_providers.adapters import batches as wire
from ai_usage.models import LedgerEntry
from megahub.kernel.errors import ProviderUnavailable, ServerError
from tests import world
from tests.ai_batch.conftest import line, work
from tests.conftest import Api
from tests.world import Cast

pytestmark = pytest.mark.usefixtures("rung")
CHAT = "/v1/chat/completions"
ENGINES = ("hub", "provider")
SECRET = line("b", "Tell me of the SECRET  plan.")


def made(api: Api, engine: str, *lines: Any, **fields: Any) -> Batch:
    asked = {"endpoint": CHAT, "requests": list(lines), "engine": engine, "backoff_seconds": 0, **fields}
    answer = api.post("/api/batch/create", asked)
    assert answer.status_code == 201, answer.text
    return Batch.objects.unscoped().get(batch_id=answer.json()["batch"]["id"])  # type: ignore[no-any-return]


def found(cast: Cast) -> list[tuple[str, str, int, str]]:
    rows = Finding.objects.of(cast.company.pk).order_by("direction", "pk")
    return [(row.direction, row.action, row.hits, row.job_ref[:10]) for row in rows]


def told(api: Api, batch: Batch, kind: str) -> list[dict[str, Any]]:
    text = api.get(f"/api/batch/{batch.batch_id}/results?type={kind}").text
    return [json.loads(each) for each in text.splitlines()]


def settled(cast: Cast) -> int:
    return int(LedgerEntry.objects.of(cast.company.pk).filter(kind="settle").count())


@pytest.mark.parametrize("engine", ENGINES)
def test_a_blocked_request_is_never_sent_and_costs_nothing(api: Api, cast: Cast, engine: str) -> None:
    policies.change(cast.company.pk, {"content_filter": "block", "words": ["secret plan"]})
    budget, alice = world.make_budget(cast.company, "5"), api.as_(cast.alice)
    done = work(made(alice, engine, line("a"), SECRET, line("c")))
    assert (done.status, done.engine, done.completed, done.failed) == ("completed", engine, 2, 1)
    assert [each["custom_id"] for each in told(alice, done, "output")] == ["a", "c"]
    (refused,) = told(alice, done, "error")
    assert (refused["custom_id"], refused["response"]["status_code"]) == ("b", 400)
    assert refused["response"]["body"]["error"]["code"] == "content_blocked"
    assert "plan" not in json.dumps(refused).lower()
    blocked = done.lines.get(custom_id="b")
    assert (blocked.error_code, blocked.cost_nano_usd, blocked.tries) == ("content_blocked", 0, 0)
    assert (settled(cast), found(cast)) == (2, [("input", "blocked", 1, "batch_req_")])
    window = world.window(budget)
    assert window is not None
    assert (window.reserved, window.spent) == (0, done.cost_nano_usd)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_batch_of_which_nothing_is_left(
    api: Api, cast: Cast, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    policies.change(cast.company.pk, {"content_filter": "block", "words": ["secret plan"]})

    async def sent(*_: Any) -> Any:
        raise AssertionError("it was sent")

    monkeypatch.setattr(wire, "upload", sent)
    done = work(made(api.as_(cast.alice), engine, SECRET))
    assert (done.status, done.completed, done.failed, settled(cast)) == ("completed", 0, 1, 0)


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_flagged_is_counted_and_passes(
    api: Api, cast: Cast, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    policies.change(
        cast.company.pk, {"content_filter": "flag", "moderation": True, "words": ["secret plan"]}
    )
    asked: list[str] = []

    async def judged(company_id: int, text: str, images: Any, request_id: str) -> list[str]:
        asked.append(request_id)
        return ["hate", "violence"] if request_id.endswith("output") else []

    monkeypatch.setattr(moderating, "categories", judged)
    done = work(made(api.as_(cast.alice), engine, line("a"), SECRET))
    assert (done.status, done.completed, done.failed) == ("completed", 2, 0)
    # The sandbox's answers say what they were asked.
    assert sorted(found(cast)) == [
        ("input", "flagged", 1, "batch_req_"),
        ("output", "flagged", 1, "batch_req_"),
        ("output", "flagged", 2, "batch_req_"),
    ]
    assert len(asked) == 2  # words come first


@pytest.mark.parametrize("engine", ENGINES)
def test_a_blocked_answer_is_paid_for_and_nobody_reads_it(
    api: Api, cast: Cast, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    policies.change(cast.company.pk, {"content_filter": "block", "moderation": True})

    async def judged(company_id: int, text: str, images: Any, request_id: str) -> list[str]:
        return ["hate"] if request_id.endswith("output") else []

    monkeypatch.setattr(moderating, "categories", judged)
    budget, alice = world.make_budget(cast.company, "5"), api.as_(cast.alice)
    done = work(made(alice, engine, line("a")))
    assert (done.status, done.completed, done.failed, settled(cast)) == ("completed", 0, 1, 1)
    assert done.cost_nano_usd > 0
    assert told(alice, done, "output") == []
    (refused,) = told(alice, done, "error")
    assert refused["response"]["body"]["error"]["code"] == "content_blocked"
    assert "choices" not in json.dumps(refused)
    window = world.window(budget)
    assert window is not None
    assert (window.reserved, window.spent) == (0, done.cost_nano_usd)


@pytest.mark.parametrize("engine", ENGINES)
def test_nothing_passes_unseen(api: Api, cast: Cast, monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    """The moderation is away for a while: lines wait for it."""
    policies.change(cast.company.pk, {"content_filter": "block", "moderation": True})
    asked: list[str] = []

    async def judged(company_id: int, text: str, images: Any, request_id: str) -> list[str]:
        asked.append(request_id.rsplit("-", 1)[-1])
        if len(asked) == 1:
            raise ProviderUnavailable(provider="openai")
        return []

    monkeypatch.setattr(moderating, "categories", judged)
    done = work(made(api.as_(cast.alice), engine, line("a")))
    assert (done.status, done.completed, done.failed, settled(cast)) == ("completed", 1, 0, 1)
    assert asked == ["input", "input", "output"]


def test_a_policy_that_cannot_be_read_loses_no_answer(
    api: Api, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can say whether an answer may be read: it is withheld, and paid for once."""

    async def away(run: Work) -> bool:
        raise ServerError

    monkeypatch.setattr(screening, "takes_a_while", away)
    done = work(made(api.as_(cast.alice), "hub", line("a")))
    assert (done.status, done.completed, done.failed, settled(cast)) == ("completed", 0, 1, 1)


def test_answers_of_a_provider_wait_for_the_moderation(
    api: Api, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None of them is settled unseen, and none is charged twice when they are fetched again."""
    policies.change(cast.company.pk, {"content_filter": "block", "moderation": True})
    failing: list[str] = []

    async def judged(company_id: int, text: str, images: Any, request_id: str) -> list[str]:
        if request_id.endswith("output") and len(failing) < 3:
            failing.append(request_id)
            raise TimeoutError
        return []

    monkeypatch.setattr(moderating, "categories", judged)
    done = work(made(api.as_(cast.alice), "provider", line("a"), line("b")))
    assert (done.status, done.completed, done.failed, settled(cast)) == ("completed", 2, 0, 2)
    assert len(failing) == 3


def test_another_attempt_is_not_counted_again(api: Api, cast: Cast) -> None:
    policies.change(cast.company.pk, {"content_filter": "flag", "words": ["secret plan"]})
    lines = [line("b", "The secret plan [sandbox: status=503]")]
    done = work(made(api.as_(cast.alice), "hub", *lines, max_attempts=2))
    assert (done.failed, done.lines.get().tries, found(cast)) == (
        1,
        1,
        [("input", "flagged", 1, "batch_req_")],
    )


def test_no_filter_asks_nobody(api: Api, cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    async def judged(*_: Any) -> list[str]:
        raise AssertionError("it was asked")

    monkeypatch.setattr(moderating, "categories", judged)
    batch = made(api.as_(cast.alice), "provider", line("a"))
    ingest.validate(batch.pk)
    remote.advance(batch.pk)
    assert work(batch).completed == 1
