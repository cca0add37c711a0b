"""Idempotency-Key: one job per key and body, whoever asks how often; another body is refused."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from ai_core.models import AIJob
from megahub.kernel import clock
from megahub.tenancy import idempotency
from megahub.tenancy.models import IdempotencyKey
from tests import world
from tests.ai_core.test_streams import events
from tests.conftest import Api
from tests.stubs import Scripted, completion
from tests.world import Cast

Provider = Callable[..., Scripted]
Rung = list[tuple[str, tuple[Any, ...], str]]
URL = "/v1/chat/completions"
BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}
OTHER = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Goodbye"}]}


def jobs(cast: Cast) -> int:
    return int(AIJob.objects.of(cast.company.pk).count())


@pytest.mark.parametrize("url", [URL, "/ai/openai/chat/"])
def test_it_works(api: Api, cast: Cast, provider: Provider, url: str) -> None:
    scripted = provider(completion())
    client = api.as_(cast.alice, idempotency_key="k-1")

    first = client.post(url, BODY)
    second = client.post(url, BODY)

    assert first.status_code == second.status_code == 200
    assert second.json() == first.json()
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    assert second.headers["x-megahub-job-id"] == first.headers["x-megahub-job-id"]
    assert (jobs(cast), len(scripted.calls)) == (1, 1)


def test_another_body_is_refused(api: Api, cast: Cast, provider: Provider) -> None:
    provider(completion())
    client = api.as_(cast.alice, idempotency_key="k-1")
    client.post(URL, BODY)

    response = client.post(URL, OTHER)

    assert response.status_code == 422
    assert response.json()["error"]["code"] == "idempotency_key_reused"
    assert jobs(cast) == 1


def test_another_company_is_independent(api: Api, cast: Cast, provider: Provider) -> None:
    provider(completion())
    api.as_(cast.alice, idempotency_key="k-1").post(URL, BODY)

    response = api.as_(cast.charlie, idempotency_key="k-1").post(URL, OTHER)

    assert response.status_code == 200
    assert AIJob.objects.of(cast.charlie.company.pk).count() == 1


def test_many_at_once_make_one_job(api: Api, cast: Cast, provider: Provider) -> None:
    scripted = provider(completion())
    client = api.as_(cast.alice, idempotency_key="k-1")

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: client.post(URL, BODY), range(60)))

    assert {answer.status_code for answer in answers} <= {200, 409}
    assert sum(answer.status_code == 200 for answer in answers) >= 1
    for answer in answers:
        if answer.status_code == 409:
            assert answer.json()["error"]["code"] == "idempotency_in_progress"
    assert (jobs(cast), len(scripted.calls)) == (1, 1)


def test_a_job_for_later_is_answered_as_the_first_time(api: Api, cast: Cast, rung: Rung) -> None:
    client = api.as_(cast.alice, idempotency_key="k-1")

    first = client.post("/ai/openai/chat/", {**BODY, "async": True})
    second = client.post("/ai/openai/chat/", {**BODY, "async": True})

    assert first.status_code == second.status_code == 202
    assert second.json() == first.json()
    assert len(rung) == jobs(cast) == 1


def test_a_created_job_is_answered_again(api: Api, cast: Cast, rung: Rung) -> None:
    client = api.as_(cast.alice, idempotency_key="k-1")
    body = {"job_type": "chat_completion", "input_data": BODY}

    first = client.post("/ai/jobs/", body)
    second = client.post("/ai/jobs/", body)

    assert first.status_code == second.status_code == 201
    assert second.json() == first.json()
    assert second.headers["idempotency-replayed"] == "true"
    assert jobs(cast) == 1


def test_a_stream_is_replayed_as_a_stream(api: Api, cast: Cast) -> None:
    client = api.as_(cast.alice, idempotency_key="k-1")
    body = {**BODY, "stream": True, "stream_options": {"include_usage": True}}

    first = client.post(URL, body)
    second = client.post(URL, body)

    assert second.headers["content-type"] == "text/event-stream"
    assert second.headers["idempotency-replayed"] == "true"
    assert second.text.endswith("data: [DONE]\n\n")
    told = [events(answer.text)[-2] for answer in (first, second)]
    assert told[0]["choices"] == told[1]["choices"] == []
    assert told[0]["usage"] == told[1]["usage"]
    assert jobs(cast) == 1


def test_a_failure_is_replayed_too(api: Api, cast: Cast) -> None:
    client = api.as_(cast.alice, idempotency_key="k-1")
    body = {**BODY, "messages": [{"role": "user", "content": "Hello [sandbox: status=500]"}]}

    first = client.post(URL, body)
    second = client.post(URL, body)

    assert first.status_code == second.status_code == 502
    assert second.json() == first.json()
    assert jobs(cast) == 1


def test_a_refused_request_leaves_its_key_free(api: Api, cast: Cast, provider: Provider) -> None:
    provider(completion())
    budget = world.make_budget(cast.company, "0")
    client = api.as_(cast.alice, idempotency_key="k-1")

    refused = client.post(URL, BODY)
    assert refused.status_code == 403
    assert not IdempotencyKey.objects.of(cast.company.pk).exists()
    budget.limit = 10**12
    budget.save(update_fields=["limit"])
    accepted = client.post(URL, BODY)

    assert accepted.status_code == 200


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "caf\u00e9"])
def test_a_key_of_the_wrong_form(api: Api, cast: Cast, key: str) -> None:
    headers = {"Idempotency-Key": key.encode("latin-1")}

    response = api.as_(cast.alice).post(URL, BODY, headers=headers)

    assert response.status_code == 400
    assert response.json()["error"]["param"] == "Idempotency-Key"
    assert jobs(cast) == 0


def test_old_keys_are_forgotten(api: Api, cast: Cast, provider: Provider) -> None:
    provider(completion())
    api.as_(cast.alice, idempotency_key="old").post(URL, BODY)
    api.as_(cast.alice, idempotency_key="new").post(URL, BODY)
    keys = IdempotencyKey.objects.of(cast.company.pk)
    keys.filter(key="old").update(created_at=clock.now() - timedelta(hours=25))

    idempotency.forget_old()

    assert list(keys.values_list("key", flat=True)) == ["new"]
