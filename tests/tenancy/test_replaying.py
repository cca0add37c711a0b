"""Idempotency-Key on every POST that makes something: done once, answered again, sealed, for a day."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from ai_usage.models import AIUsageAlert, LedgerEntry
from megahub.delivery.models import WebhookEndpoint
from megahub.kernel import cache, clock
from megahub.tenancy import idempotency
from megahub.tenancy.models import ApiKey, IdempotencyKey, Membership
from tests.conftest import Api
from tests.world import Cast

URL = "/auth/keys/"
BODY = {"name": "once"}


def keys(cast: Cast) -> int:
    return int(ApiKey.objects.of(cast.company.pk).count())


def test_it_works(api: Api, cast: Cast) -> None:
    client = api.as_(cast.alice, idempotency_key="k-1")

    first, second = client.post(URL, BODY), client.post(URL, BODY)

    assert (first.status_code, second.status_code) == (201, 201)
    assert second.content == first.content
    assert second.headers["content-type"] == first.headers["content-type"]
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    assert keys(cast) == 1


def test_the_answer_is_stored_sealed(api: Api, cast: Cast) -> None:
    made = api.as_(cast.alice, idempotency_key="k-1").post(URL, BODY).json()

    row = IdempotencyKey.objects.of(cast.company.pk).get()
    assert row.status == 201
    assert made["key"].encode() not in bytes(row.answer)
    assert b"once" not in bytes(row.answer)


@pytest.mark.parametrize(
    "other",
    [
        lambda api, cast: api.as_(cast.alice, idempotency_key="k-1").post(URL, {"name": "another"}),
        # The answer is that of the person who asked; nobody else is told the key.
        lambda api, cast: api.as_(cast.bob, idempotency_key="k-1").post(URL, BODY),
        lambda api, cast: api.as_(cast.alice, idempotency_key="k-1").post(URL + "?x=1", BODY),
    ],
    ids=["another body", "another person", "another query"],
)
def test_another_request_is_refused(api: Api, cast: Cast, other: Callable[..., Any]) -> None:
    api.as_(cast.alice, idempotency_key="k-1").post(URL, BODY)

    response = other(api, cast)

    assert response.status_code == 422
    assert response.json()["error_code"] == "IDEMPOTENCY_KEY_REUSED"
    assert keys(cast) == 1


def test_another_company_and_another_route_are_independent(api: Api, cast: Cast) -> None:
    api.as_(cast.alice, idempotency_key="k-1").post(URL, BODY)

    theirs = api.as_(cast.charlie, idempotency_key="k-1").post(URL, {"name": "theirs"})
    alert = {"severity": "info", "message": "Mine"}
    elsewhere = api.as_(cast.alice, idempotency_key="k-1").post("/ai/alerts/", alert)

    assert theirs.status_code == 201
    assert elsewhere.status_code == 201
    assert "idempotency-replayed" not in elsewhere.headers


def test_a_refused_request_leaves_its_key(api: Api, cast: Cast) -> None:
    client = api.as_(cast.alice, idempotency_key="k-1")

    assert client.post(URL, {"name": ""}).status_code == 400
    assert not IdempotencyKey.objects.of(cast.company.pk).exists()
    assert client.post(URL, BODY).status_code == 201


def test_who_lost_the_right_is_not_told_again(api: Api, cast: Cast) -> None:
    client = api.as_(cast.bob, idempotency_key="k-1")
    assert client.post(URL, {"name": "b", "scopes": ["jobs:read"]}).status_code == 201
    Membership.objects.of(cast.company.pk).filter(user=cast.bob.user).update(role="viewer")
    cache.forget_everything()

    response = client.post(URL, {"name": "b", "scopes": ["jobs:read"]})

    assert response.status_code == 403
    assert response.json()["error_code"] == "SCOPE_MISSING"


def test_while_it_is_served_it_is_in_progress(api: Api, cast: Cast) -> None:
    """On SQLite writers wait for each other: there it is served after the other."""
    claim = idempotency.Claim(cast.company.pk, "key-list", "k-1", "0" * 64)
    with transaction.atomic():
        idempotency.begin(claim)
        if not idempotency.sql.on_postgres():
            return
        response = api.as_(cast.alice, idempotency_key="k-1").post(URL, BODY)
        transaction.set_rollback(True)

    assert response.status_code == 409
    assert response.json()["error_code"] == "IDEMPOTENCY_IN_PROGRESS"
    assert response.headers["retry-after"] == "1"
    assert keys(cast) == 0


def test_two_hundred_at_once_make_one(api: Api, cast: Cast) -> None:
    client = api.as_(cast.alice, idempotency_key="k-1")

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: client.post(URL, BODY), range(200)))

    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.content for answer in answers if answer.status_code == 201}) == 1
    assert sum("idempotency-replayed" not in a.headers for a in answers if a.status_code == 201) == 1
    assert keys(cast) == 1


def test_after_a_day_it_is_a_new_one(api: Api, cast: Cast) -> None:
    client = api.as_(cast.alice, idempotency_key="k-1")
    client.post(URL, BODY)
    rows = IdempotencyKey.objects.of(cast.company.pk)
    rows.update(created_at=clock.now() - timedelta(hours=24, seconds=1))

    response = client.post(URL, BODY)

    assert "idempotency-replayed" not in response.headers
    assert keys(cast) == 2
    rows.update(created_at=clock.now() - timedelta(hours=24, seconds=1))
    idempotency.forget_old()
    assert not rows.exists()


@pytest.mark.parametrize("key", ["", "two words", "x" * 256, "é"])
def test_a_key_of_another_form_is_refused(api: Api, cast: Cast, key: str) -> None:
    response = api.as_(cast.alice).request(
        "POST", URL, json=BODY, headers={"Idempotency-Key": key.encode()}
    )

    assert response.status_code == 400
    assert list(response.json()["field_errors"]) == ["Idempotency-Key"]
    assert keys(cast) == 0


@pytest.mark.parametrize(
    ("path", "body", "kind"),
    [
        (
            "/ai/alerts/",
            {"severity": "info", "message": "Mine"},
            AIUsageAlert,
        ),
        (
            "/ai/usage/",
            {
                "provider_name": "openai",
                "model_name": "gpt-4o",
                "input_tokens": 10,
                "output_tokens": 5,
                "total_cost": "0.01",
            },
            LedgerEntry,
        ),
        ("/ai/webhooks/", {"url": "https://example.test/hook", "events": ["job.failed"]}, WebhookEndpoint),
    ],
)
def test_each_makes_one(api: Api, cast: Cast, path: str, body: dict[str, Any], kind: Any) -> None:
    client = api.as_(cast.alice, idempotency_key="k-1")

    first, second = client.post(path, body), client.post(path, body)

    assert first.status_code == 201, first.text
    assert second.content == first.content
    assert kind.objects.of(cast.company.pk).count() == 1
