"""``GET /api/ai/security/audit``."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from megahub.audit.models import AuditEntry
from tests.conftest import Api
from tests.world import Cast

URL = "/api/ai/security/audit"


@pytest.fixture
def changed(api: Api, cast: Cast) -> dict[str, Any]:
    """Three changes by Alice; the key that was made."""
    alice = api.as_(cast.alice, user_agent="=cmd()")
    key = alice.post("/auth/keys/", {"name": "=1+1", "scopes": ["audit:read"]}).json()
    alice.request("PUT", "/ai/quotas/", json={"provider": "openai", "monthly_token_limit": 5})
    alice.request("PATCH", "/ai/alerts/rules/cost_warning/", json={"threshold": "0.5"})
    return dict(key)


def rows(api: Api, cast: Cast, query: str = "") -> list[dict[str, Any]]:
    response = api.as_(cast.alice).get(f"{URL}{query}")
    assert response.status_code == 200, response.text
    return list(response.json()["results"])


def test_it_works(api: Api, cast: Cast, changed: dict[str, Any]) -> None:
    found = rows(api, cast)

    assert [row["action"] for row in found] == ["alert_rule.change", "quota.change", "key.create"]
    first = found[-1]
    stored = AuditEntry.objects.of(cast.company.pk).get(seq=1)
    assert first == {
        "seq": 1,
        "at": first["at"],
        "actor": {
            "type": "user",
            "id": cast.alice.user.pk,
            "name": cast.alice.user.username,
            "api_key_id": None,
        },
        "origin": {"ip": "127.0.0.1", "hops": 0, "user_agent": "=cmd()"},
        "request_id": stored.request_id,
        "action": "key.create",
        "object": {"type": "tenancy.apikey", "id": str(changed["id"]), "name": stored.object_name},
        "before": None,
        "after": stored.after,
        "reason": "",
        "prev_hash": "0" * 64,
        "hash": stored.hash,
    }
    assert stored.after["name"] == "=1+1"
    assert found[1]["before"] == {"tokens": found[1]["before"]["tokens"]}
    assert found[1]["after"] == {"tokens": 5}
    assert changed["key"] not in api.as_(cast.alice).get(URL).text


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("?action=key.create", 1),
        ("?action=key.", 1),
        ("?object_type=ai_usage.quota&object_id=openai", 1),
        ("?date_from=2020-01-01", 3),
        ("?date_to=2020-01-01", 0),
        ("?date_from=2020-01-01&date_to=2090-01-01", 3),
        ("?user_id=nobody", 0),
        ("?user_id={id}", 3),
        ("?user_id={name}", 3),
        ("?actor_kind=key", 0),
        ("?ip=127.0.0.1", 3),
        ("?api_key_id=1", 0),
        ("?request_id=none", 0),
    ],
)
def test_filters(api: Api, cast: Cast, changed: dict[str, Any], query: str, count: int) -> None:
    user = cast.alice.user
    assert len(rows(api, cast, query.format(id=user.pk, name=user.username))) == count


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("?date_from=yesterday", "date_from"),
        ("?date_from=2026-02-30", "date_from"),
        ("?actor_kind=cat", "actor_kind"),
        ("?api_key_id=x", "api_key_id"),
        ("?format=xml", "format"),
        ("?who=me", "who"),
    ],
)
def test_a_bad_filter_is_named(api: Api, cast: Cast, query: str, field: str) -> None:
    response = api.as_(cast.alice).get(f"{URL}{query}")

    assert response.status_code == 400
    assert field in response.text


def test_cursor(api: Api, cast: Cast, changed: dict[str, Any]) -> None:
    first = api.as_(cast.alice).get(f"{URL}?cursor=&page_size=2").json()
    second = api.as_(cast.alice).get(first["next"].removeprefix(api.url)).json()

    assert [row["seq"] for row in first["results"] + second["results"]] == [3, 2, 1]
    assert second["next"] is None


def test_csv_runs_in_no_spreadsheet(api: Api, cast: Cast, changed: dict[str, Any]) -> None:
    response = api.as_(cast.alice).get(f"{URL}?format=csv&action=key.create")

    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert response.headers["content-disposition"].startswith('attachment; filename="audit-')
    (row,) = csv.DictReader(io.StringIO(response.content.decode("utf-8-sig")))
    assert (row["user_agent"], row["seq"], row["before"]) == ("'=cmd()", "1", "")
    assert row["object_name"].startswith("'=1+1 (mh_")


def test_only_administrators_and_only_their_own(api: Api, cast: Cast, changed: dict[str, Any]) -> None:
    assert api.get(URL).status_code == 401
    refused = api.as_(cast.bob).get(URL)
    assert (refused.status_code, "audit:read" in refused.text) == (403, True)
    assert api.as_(cast.charlie).get(URL).json()["results"] == []
    assert len(api.as_(changed["key"]).get(URL).json()["results"]) == 3
