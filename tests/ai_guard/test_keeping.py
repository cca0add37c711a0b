"""What a policy does not keep is nowhere: on every road, in every column, in the spool and in replays."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from ai_core import pipeline
from ai_core.models import AIJob
from ai_core.services import forgetting, spooling
from ai_guard.services import policies
from ai_usage.models import LedgerEntry
from megahub.kernel import clock, loop, spool
from tests import world
from tests.ai_core.test_streams import stop, usage
from tests.conftest import Api
from tests.stubs import Scripted, chunk, completion
from tests.world import Cast

Provider = Callable[..., Scripted]
CANARY, MAIL = "canary-7f3a", "jane.doe@example.com"
PROMPT, ANSWER = f"{CANARY} of {MAIL}", f"Answer {CANARY} to {MAIL}"
BODY: dict[str, Any] = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": PROMPT}],
    "stop": [PROMPT],
    "user": "customer-1",
}
CHAT = "/ai/openai/chat/"


def stored(cast: Cast) -> str:
    """Every column of every job of the company."""
    return str(list(AIJob.objects.of(cast.company.pk).values()))


def only(cast: Cast) -> AIJob:
    return AIJob.objects.of(cast.company.pk).get()  # type: ignore[no-any-return]


def asked(api: Api, cast: Cast, road: str) -> str:
    """Ask on a road; what the client was told."""
    caller = api.as_(cast.alice)
    if road == "now":
        response = caller.post(CHAT, {**BODY, "description": PROMPT})
    elif road == "v1":
        response = caller.post("/v1/chat/completions", BODY)
    else:
        response = caller.post("/v1/chat/completions", {**BODY, "stream": True})
    assert response.status_code == 200, response.text
    return response.text


@pytest.mark.parametrize("road", ["now", "v1", "stream"])
@pytest.mark.parametrize("keep", ["all", "masked", "none"])
def test_at_once(api: Api, cast: Cast, provider: Provider, keep: str, road: str) -> None:
    policies.change(cast.company.pk, {"prompts": keep})
    provider([chunk(ANSWER), stop(), usage()] if road == "stream" else completion(ANSWER))

    assert CANARY in asked(api, cast, road)
    assert MAIL in asked(api, cast, road)

    found = stored(cast)
    assert (CANARY in found) == (keep != "none")
    assert (MAIL in found) == (keep == "all")
    assert ("[email]" in found) == (keep == "masked")
    assert LedgerEntry.objects.of(cast.company.pk).count() == 2


@pytest.mark.parametrize("keep", ["masked", "none"])
def test_later(api: Api, cast: Cast, provider: Provider, rung: list[Any], keep: str) -> None:
    """A worker needs the prompt until it has run; the client has an hour to fetch the answer."""
    policies.change(cast.company.pk, {"prompts": keep})
    provider(completion(ANSWER))
    accepted = api.as_(cast.alice).post(CHAT, {**BODY, "async": True, "description": PROMPT})
    assert accepted.status_code == 202
    job = only(cast)
    assert MAIL in str(job.input_data)
    assert MAIL not in job.description

    loop.run(pipeline.work(job.pk))

    job = only(cast)
    assert job.status == "completed"
    assert MAIL not in str(job.input_data)
    assert ANSWER in str(job.response)
    result = api.as_(cast.alice).get(f"/ai/openai/completion/job_result/?job_id={job.job_id}")
    assert ANSWER in result.text
    forgetting.forget_due()
    assert ANSWER in str(only(cast).response)

    AIJob.objects.of(cast.company.pk).update(forget_at=clock.now() - timedelta(seconds=1))
    forgetting.forget_due()

    found = stored(cast)
    assert MAIL not in found
    assert (CANARY in found) == (keep == "masked")
    assert only(cast).forget_at is None
    assert api.as_(cast.alice).get(f"/ai/jobs/{job.job_id}/").status_code == 200


def test_a_job_that_never_ran_is_swept(api: Api, cast: Cast, rung: list[Any]) -> None:
    policies.change(cast.company.pk, {"prompts": "none"})
    api.as_(cast.alice).post(CHAT, {**BODY, "async": True})
    job = only(cast)
    forgetting.forget_due()
    assert MAIL in stored(cast)  # it waits still

    assert api.as_(cast.alice).post(f"/ai/jobs/{job.job_id}/cancel/").status_code == 200
    forgetting.forget_due()

    assert CANARY not in stored(cast)


def test_a_replay_tells_nothing_that_was_not_kept(api: Api, cast: Cast, provider: Provider) -> None:
    policies.change(cast.company.pk, {"prompts": "none"})
    scripted = provider(completion(ANSWER))
    key = {"Idempotency-Key": "once"}
    assert api.as_(cast.alice).post("/v1/chat/completions", BODY, headers=key).status_code == 200

    again = api.as_(cast.alice).post("/v1/chat/completions", BODY, headers=key)

    assert (again.status_code, again.json()["error"]["code"]) == (409, "answer_not_kept")
    assert CANARY not in again.text
    assert len(scripted.calls) == 1


@pytest.mark.parametrize("keep", ["masked", "none"])
def test_the_spool_holds_no_more(
    api: Api, cast: Cast, provider: Provider, monkeypatch: pytest.MonkeyPatch, keep: str
) -> None:
    policies.change(cast.company.pk, {"prompts": keep})
    provider(completion(ANSWER))
    heard: list[bytes] = []
    real = spooling.pack
    monkeypatch.setattr(
        spooling.SPOOL, "pack", lambda settlement: heard.append(real(settlement)) or real(settlement)
    )

    asked(api, cast, "v1")

    assert heard
    assert all(MAIL.encode() not in each for each in heard)
    assert all((CANARY.encode() in each) == (keep == "masked") for each in heard)
    assert spooling.unpack(heard[0]).job_ref == only(cast).job_id
    assert spool is not None


def test_old_texts_go_and_the_bill_stays(api: Api, cast: Cast, provider: Provider) -> None:
    provider(completion(ANSWER))
    for _ in range(3):
        asked(api, cast, "v1")
    policies.change(cast.company.pk, {"keep_days": 30})
    rows = AIJob.objects.of(cast.company.pk)
    young = rows.order_by("pk").last()
    rows.exclude(pk=young.pk).update(created_at=clock.now() - timedelta(days=31))
    before = list(LedgerEntry.objects.of(cast.company.pk).order_by("pk").values())

    forgetting.forget_old()

    emptied = rows.exclude(pk=young.pk)
    assert [(row.input_data, row.response, row.params, row.end_user) for row in emptied] == [
        ({}, None, {}, None)
    ] * 2
    assert CANARY in str(world.row(young.pk).input_data)
    assert list(LedgerEntry.objects.of(cast.company.pk).order_by("pk").values()) == before
    assert forgetting.forget_old() == 0
    for row in emptied:
        assert api.as_(cast.alice).get(f"/ai/jobs/{row.job_id}/").status_code == 200
        assert api.as_(cast.alice).get(f"/ai/openai/jobs/{row.job_id}/").status_code == 200
