"""Pages, cursors and orderings of the lists that have no test of their own for them."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import orjson
import pytest

from ai_providers import services as providers
from ai_providers.models import SealedKey
from ai_usage.models import AIUsageAlert, RateLimit
from megahub.delivery.models import WebhookDelivery, WebhookEndpoint
from megahub.kernel import clock
from tests.conftest import Api
from tests.world import Cast

Make = Callable[[Cast], str]


def moment(days: int) -> datetime:
    return clock.now() - timedelta(days=days)


def alerts(cast: Cast) -> str:
    for number, (kind, severity) in enumerate(
        (("manual", "info"), ("cost_warning", "warning"), ("slow_execution", "critical"))
    ):
        AIUsageAlert.objects.unscoped().create(
            company=cast.company, alert_type=kind, severity=severity, subject=str(number), message="Look.",
            window_start=clock.now().date(), created_at=moment(number), is_resolved=True,
            resolved_at=moment(number), threshold_value=None, current_value=None,
        )  # fmt: skip
    return "/ai/alerts/"


def history(cast: Cast) -> str:
    for last in ("aaaa", "bbbb"):
        providers.store_keys(cast.company.pk, {"openai": f"sk-proj-0123456789{last}"})
    providers.store_keys(cast.company.pk, {"google": "AIzaSy0123456789_-0123456789cccc", "openai": None})
    rows = SealedKey.objects.of(cast.company.pk)
    for number, row in enumerate(rows.order_by("id")):
        rows.filter(pk=row.pk).update(created_at=moment(9 - number))
    return "/ai/credentials/history/"


def webhooks(cast: Cast) -> str:
    for number, name in enumerate("bca"):
        endpoint(cast, name, moment(number))
    return "/ai/webhooks/"


def endpoint(cast: Cast, name: str, at: datetime) -> WebhookEndpoint:
    """One that nothing is sent to."""
    url = f"https://{name}.example.com/"
    row = WebhookEndpoint(company=cast.company, url=url, events=["alert.created"], is_active=False)
    row.sealed_secret = row.seal("whsec_" + "A" * 43 + "=")
    row.save()
    WebhookEndpoint.objects.of(cast.company.pk).filter(pk=row.pk).update(created_at=at)
    return row


def deliveries(cast: Cast) -> str:
    to = endpoint(cast, "a", moment(0))
    for number, state in enumerate(("delivered", "failed", "pending")):
        row = WebhookDelivery.objects.unscoped().create(
            company=cast.company, endpoint=to, event_id=f"evt_{number}", event_type=f"job.{number}",
            body="{}", state=state, attempt=(2, 0, 1)[number], next_at=moment(-number),
        )  # fmt: skip
        WebhookDelivery.objects.of(cast.company.pk).filter(pk=row.pk).update(created_at=moment(number))
    return f"/ai/webhooks/{to.pk}/deliveries/"


def rate_limits(cast: Cast) -> str:
    for number, (scope, value) in enumerate((("company", ""), ("model", "o1"), ("model", "o3"))):
        RateLimit.objects.unscoped().create(
            company=cast.company, scope=scope, scope_value=value, requests_per_minute=10**6,
            created_at=moment(number),
        )  # fmt: skip
    return "/ai/rate-limits/"


LISTS: list[tuple[Make, str]] = [
    (alerts, "id created_at severity alert_type resolved_at"),
    (rate_limits, "id scope created_at"),
    (history, "id provider created_at retired_at"),
    (webhooks, "id created_at url"),
    (deliveries, "id created_at next_at attempt"),
]
NAMES = [make.__name__ for make, _ in LISTS]


def rows(api: Api, cast: Cast, path: str, **params: Any) -> list[dict[str, Any]]:
    response = api.as_(cast.alice).get(path, params=params)
    assert response.status_code == 200, response.text
    return list(response.json()["results"])


@pytest.mark.parametrize("make", [make for make, _ in LISTS], ids=NAMES)
def test_pages(api: Api, cast: Cast, make: Make) -> None:
    path = make(cast)
    whole = [row["id"] for row in rows(api, cast, path)]
    assert len(whole) == 3

    first = api.as_(cast.alice).get(f"{path}?page_size=2").json()

    assert (first["count"], first["next"] is not None, first["previous"]) == (3, True, None)
    assert [row["id"] for row in first["results"]] == whole[:2]
    assert [row["id"] for row in rows(api, cast, path, page_size=2, page=2)] == whole[2:]
    assert api.as_(cast.alice).get(f"{path}?page_size=2&page=3").status_code == 404


@pytest.mark.parametrize("make", [make for make, _ in LISTS], ids=NAMES)
def test_cursor(api: Api, cast: Cast, make: Make) -> None:
    path = make(cast)
    url, found = f"{path}?cursor=&page_size=2", []
    while url:
        answer = api.as_(cast.alice).get(url.removeprefix(api.url)).json()
        found.append([row["id"] for row in answer["results"]])
        url = answer["next"]

    assert [len(page) for page in found] == [2, 1]
    assert sorted(number for page in found for number in page) == sorted(
        row["id"] for row in rows(api, cast, path)
    )


@pytest.mark.parametrize(("make", "names"), LISTS, ids=NAMES)
def test_orderings(api: Api, cast: Cast, make: Make, names: str) -> None:
    path = make(cast)

    for name in names.split():
        up, down = (
            [row[name] for row in rows(api, cast, path, ordering=way + name) if row[name] is not None]
            for way in ("", "-")
        )
        assert len(set(up)) > 1, name
        assert up == sorted(up), name
        assert down == sorted(up, reverse=True), name


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("state=failed", {"evt_1"}),
        ("event_type=job.2", {"evt_2"}),
        ("event_id=evt_0", {"evt_0"}),
        ("created_at__gte={day}", {"evt_0"}),
        ("created_at__lte={day}", {"evt_1", "evt_2"}),
    ],
)
def test_filters_of_deliveries(api: Api, cast: Cast, query: str, wanted: set[str]) -> None:
    path = deliveries(cast)
    day = clock.iso(clock.now() - timedelta(hours=12))

    name, _, value = query.partition("=")
    found = rows(api, cast, path, **{name: value.format(day=day)})

    assert {row["event_id"] for row in found} == wanted


@pytest.mark.parametrize(
    "query",
    [
        "/ai/openai/jobs/?temperature__gte=1e400",
        "/ai/openai/jobs/?quality_score__lte=-1e400",
        "/ai/openai/jobs/?created_at__gte=0001-01-01T00:00:00%2B14:00",
        "/ai/usage/?created_at__lte=0001-01-01T00:00:00%2B14:00",
        "/ai/usage/?ai_job__brand=1e400",
        "/ai/alerts/?created_at__gte=0001-01-01T00:00:00%2B14:00",
        "/ai/credentials/history/?created_at__gte=0001-01-01T00:00:00%2B14:00",
    ],
)
def test_what_no_column_could_hold_is_refused(api: Api, cast: Cast, query: str) -> None:
    response = api.as_(cast.alice).get(query)

    assert response.status_code == 400, response.text
    assert list(response.json()["field_errors"]) == [query.split("?")[1].split("=", maxsplit=1)[0]]


@pytest.mark.parametrize(
    ("path", "ordering", "position"),
    [
        ("/ai/usage/", "model_name", ["a\0b", 1]),
        ("/ai/webhooks/", "url", ["a\0b", 1]),
        ("/ai/usage/", "created_at", ["0001-01-01T00:00:00+14:00", 1]),
        ("/ai/usage/", "created_at", ["9999-12-31T23:59:59-14:00", 1]),
        ("/ai/usage/", "created_at", ["2026-01-01T00:00:00", 1]),
        ("/ai/usage/", "created_at", ["2026-01-01T00:00:00Z", 1e308]),
        ("/ai/usage/", "total_tokens", [1e308, 1]),
        ("/ai/usage/", "model_name", [{}, []]),
    ],
)
def test_cursors_that_nobody_gave(
    api: Api, cast: Cast, path: str, ordering: str, position: list[Any]
) -> None:
    raw = orjson.dumps([[ordering, "-pk"], position, ""])
    cursor = base64.urlsafe_b64encode(raw).decode().rstrip("=")

    response = api.as_(cast.alice).get(path, params={"ordering": ordering, "cursor": cursor})

    assert response.status_code == 400, response.text
    assert list(response.json()["field_errors"]) == ["cursor"]
