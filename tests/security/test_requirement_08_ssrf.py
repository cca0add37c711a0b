"""Requirement 8: no address that a caller names leads inside.

The corpus is tests/delivery/test_addresses.py's; here it is tried through the API: nothing is stored.
"""

from __future__ import annotations

import pytest

from megahub.delivery.models import WebhookEndpoint
from tests.conftest import Api
from tests.delivery.test_addresses import INNER
from tests.world import Cast

DISGUISED = [
    "https://127.0.0.1\\@hooks.example.com/",
    "https://hooks.example.com%5c@127.0.0.1/",
    "https://０１２７.0.0.1/",
    "https://①②⑦.⓪.⓪.①/",
    "https://localhost/",
    "https://LOCALHOST./",
    "https://metadata.google.internal/",
    "https://[::ffff:127.0.0.1]/",
    "https://0x7f.0.0.1/",
    "https://017700000001/",
    "https://hooks.example.com:22/",
    "http://hooks.example.com/",
    "https://hooks.example.com\r\nHost: 127.0.0.1/",
    "https://user:password@hooks.example.com/",
]


def literal(address: str) -> str:
    return f"https://[{address}]/" if ":" in address else f"https://{address}/"


@pytest.mark.parametrize("url", [*map(literal, INNER), *DISGUISED])
def test_it_is_never_registered(api: Api, cast: Cast, url: str) -> None:
    asked = {"url": url, "events": ["job.completed"]}

    response = api.as_(cast.alice).post("/ai/webhooks/", asked)

    if "internal" in url:  # a name: it is judged by what it leads to, at every send
        assert response.status_code in (201, 400)
        WebhookEndpoint.objects.of(cast.company.pk).delete()
        return
    assert response.status_code == 400, response.text
    assert "url" in response.json()["field_errors"]
    assert WebhookEndpoint.objects.of(cast.company.pk).count() == 0
