"""Requirement 13: a webhook's signature covers its id, its moment and its body; a receiver is bounded.

A gigabyte of an answer and one byte a second are tried in tests/delivery/test_addresses.py, rotation with
two valid secrets in test_relay.py.
"""

from __future__ import annotations

import base64

import pytest

from megahub.delivery.domain import events, signing
from megahub.delivery.models import WebhookEndpoint
from megahub.delivery.services import endpoints
from tests.conftest import Api
from tests.delivery.receiver import listening
from tests.world import Cast

SECRET = signing.new_secret()
MESSAGE = ("msg_1", 1_795_000_000, b'{"type":"job.completed"}')


@pytest.mark.parametrize(
    "tampered",
    [
        ("msg_2", MESSAGE[1], MESSAGE[2]),
        ("msg_1", MESSAGE[1] + 1, MESSAGE[2]),
        ("msg_1", MESSAGE[1], MESSAGE[2] + b" "),
        # What stood left of a dot moved to its right.
        ("msg", 1, b"1795000000." + MESSAGE[2]),
    ],
)
def test_whatever_is_changed_signs_otherwise(tampered: tuple[str, int, bytes]) -> None:
    assert signing.sign(SECRET, *tampered) != signing.sign(SECRET, *MESSAGE)


def test_a_secret_is_long_enough_and_no_id_holds_a_dot() -> None:
    assert len(base64.b64decode(SECRET.removeprefix("whsec_"))) >= 24
    assert "." not in str(events.__dict__.get("PREFIX", ""))


def test_a_secret_is_shown_once_and_stored_sealed(api: Api, cast: Cast, settings: object) -> None:
    settings.HUB_WEBHOOKS_ALLOW_PRIVATE = True  # type: ignore[attr-defined]
    with listening() as receiver:
        asked = {"url": receiver.url, "events": ["job.completed"]}
        made = api.as_(cast.alice).post("/ai/webhooks/", asked)
        assert made.status_code == 201
        secret = next(v for v in made.json().values() if isinstance(v, str) and v.startswith("whsec_"))

        listed = api.as_(cast.alice).get("/ai/webhooks/").text
        assert secret not in listed
        rows = WebhookEndpoint.objects.of(cast.company.pk)
        stored = [value for row in rows.values() for value in row.values()]
        assert not any(
            secret.removeprefix("whsec_").encode() in bytes(v)
            for v in stored
            if isinstance(v, bytes | memoryview)
        )
        assert not any(secret in str(value) for value in stored)
        for endpoint in rows:
            endpoints.delete(endpoint)
