"""Every place beside a path where an id can stand: queries, headers, bodies at any depth, cursors, replays.

The places are worked out from the OpenAPI document: a new filter or a new field that is called like an id
is tried, or fails here until it is registered.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from django.conf import settings as live

from ai_batch.models import Batch, StoredFile
from ai_batch.services import ingest
from megahub.delivery.models import Outbox
from megahub.kernel import cache
from megahub.tenancy.models import Membership
from tests import document, test_isolation, world
from tests.conftest import Api
from tests.test_isolation import ABSENT_FILE, ABSENT_NUMBER, MINE, ROWS, Owned, Row
from tests.world import Cast

owned, receiver = test_isolation.owned, test_isolation.receiver

#: What a field or a filter that names a row is called.
LIKE_AN_ID = re.compile(r"(^|_)(id|ids|ref|brand|brands|job|user|key|company|batch|file|webhook)$")
ABSENT_WORD = "Absent"
CHAT = {"endpoint": "/v1/chat/completions"}
#: Fields that name a row: whose it is, and a body around it.
NAMED: dict[tuple[str, str, str], tuple[str, dict[str, Any]]] = {
    ("POST", "/v1/batches", "input_file_id"): ("file", {**CHAT, "completion_window": "24h"}),
    ("POST", "/api/batch/create", "input_file_id"): ("file", {**CHAT, "completion_window": "24h"}),
    ("POST", "/api/batch/schedules", "input_file_id"): ("file", {**CHAT, "cron": "0 0 1 1 *", "name": "n"}),
    ("POST", "/api/batch/validate", "input_file_id"): ("file", CHAT),
    ("POST", "/auth/invitations/", "brands"): ("brand", {"email": "new@example.com", "role": "member"}),
    ("PATCH", "/auth/members/{id}/", "brands"): ("brand", {}),
    ("PATCH", "/auth/members/{id}/", "default_brand"): ("brand", {}),
    ("POST", "/ai/usage/export-schedules/", "brand_id"): (
        "brand",
        {"period": "daily", "format": "csv", "emails": ["c@example.com"]},
    ),
}
#: Called like an id, and no row's: the caller's own words, keys of providers, contents, flags.
NO_ROWS = {
    "tool_call_id", "prompt_cache_key", "user", "end_user", "file", "only_this_brand",
    "infomaniak_product_id", "openai_api_key", "google_api_key", "anthropic_api_key", "infomaniak_api_key",
}  # fmt: skip


def fields(
    schema: dict[str, Any], path: tuple[str, ...] = (), seen: frozenset[str] = frozenset()
) -> Iterator[Any]:
    """(path, schema) of every field of a body, at any depth."""
    if name := schema.get("$ref", "").rpartition("/")[2]:
        if name not in seen:
            yield from fields(document.document()["components"]["schemas"][name], path, seen | {name})
        return
    for each in (*schema.get("allOf", ()), *schema.get("anyOf", ()), *schema.get("oneOf", ())):
        yield from fields(each, path, seen)
    for key, value in schema.get("properties", {}).items():
        yield (*path, key), value
        yield from fields(value, (*path, key), seen)
    if "items" in schema:
        yield from fields(schema["items"], (*path, "[]"), seen)


def test_every_field_that_is_called_like_an_id_is_known() -> None:
    found = {
        (method, path, ".".join(where))
        for (method, path), operation in document.operations().items()
        for content in operation.get("requestBody", {}).get("content", {}).values()
        for where, _ in fields(content["schema"])
        if LIKE_AN_ID.search(where[-1]) and where[-1] not in NO_ROWS
    }

    assert found == set(NAMED)


@pytest.mark.parametrize("place", NAMED, ids=" ".join)
def test_a_foreign_id_in_a_body_is_an_absent_one(
    api: Api, cast: Cast, owned: Owned, place: tuple[str, str, str]
) -> None:
    method, path, field = place
    kind, around = NAMED[place]
    theirs, absent = (
        (owned.file.file_id, ABSENT_FILE) if kind == "file" else (cast.brand.pk, int(ABSENT_NUMBER))
    )
    before = owned.now()
    name, company = f"{cast.charlie.user.username}-other", cast.charlie.company
    other = world.make_person(name, company, cast.charlie.brand, "member")
    row = Membership.objects.of(company.pk).get(user=other.user)
    path = path.replace("{id}", str(row.pk))

    foreign, random = (
        api.as_(cast.charlie).request(
            method, path, json={**around, field: [each] if field == "brands" else each}
        )
        for each in (theirs, absent)
    )

    assert foreign.status_code == random.status_code
    assert _without(foreign.content, theirs, absent) == _without(random.content, theirs, absent)
    assert b"anary" not in foreign.content
    assert owned.now() == before
    for batch in Batch.objects.of(cast.charlie.company.pk):  # whose file is looked for when it begins
        ingest.validate(batch.pk)
        batch.refresh_from_db()
        assert (batch.status, batch.total) == ("failed", 0)


def filters() -> list[tuple[str, str, dict[str, Any]]]:
    """(path, name, schema) of every filter of every list and figure without an id in its path."""
    return [
        (path, parameter["name"], parameter["schema"])
        for (method, path), operation in document.operations().items()
        for parameter in operation.get("parameters", ())
        if method == "GET" and "{" not in path and parameter["in"] == "query"
        if parameter["name"] not in ("format", "ordering", "page", "page_size", "limit", "cursor", "lang")
    ]


def values(cast: Cast, owned: Owned, name: str, schema: dict[str, Any]) -> list[tuple[str, str]]:
    """(one that is Alice's, one that is nobody's) of a filter's form."""
    if "enum" in schema or schema.get("type") == "boolean" or schema.get("format") in ("date", "date-time"):
        return []
    if "brand" in name:
        return [(str(cast.brand.pk), ABSENT_NUMBER)]
    if schema.get("type") in ("integer", "number"):
        if not LIKE_AN_ID.search(name):
            return []
        return [(str(owned.usage.pk), ABSENT_NUMBER), (str(owned.key.pk), ABSENT_NUMBER)]
    return [
        ("Canary", ABSENT_WORD),
        (owned.done.job_id, test_isolation.ABSENT_JOB),
        (cast.alice.user.username, ABSENT_WORD),
    ]


def test_no_filter_tells_of_a_strangers_rows(
    api: Api, cast: Cast, owned: Owned, capsys: pytest.CaptureFixture[str]
) -> None:
    """Filters across relations, searches, prefixes: Alice's value finds what nobody's value finds."""
    charlie, cases, told = api.as_(cast.charlie), 0, []
    for path, name, schema in filters():
        for theirs, absent in values(cast, owned, name, schema):
            cases += 1
            answers = []
            for value in (theirs, absent):
                answer = charlie.get(path, params={name: value})
                answers.append((answer.status_code, _without(answer.content, theirs, absent)))
            if answers[0] != answers[1]:
                told.append(f"{path}?{name}={theirs}: {answers}")
    with capsys.disabled():
        sys.stdout.write(f"\n{cases} cases (filter, value), {len(told)} leaks\n")
    assert told == []
    assert cases > 50


#: What differs between two answers to the same question: moments, names of what was just made.
FRESH = re.compile(rb"\d{4}-\d\d-\d\dT[\d:.]+(?:Z|\+00:00)?|batch_[0-9a-f]{24}|sched_[0-9a-f]{24}|17\d{8}")


def _without(content: bytes, *said: Any) -> bytes:
    """An answer without the values that were asked for, of which one is in it, and what is fresh in it."""
    for value in said:
        content = re.sub(rb"(?<!\w)" + re.escape(str(value).encode()) + rb"(?!\w)", b"@", content)
    return FRESH.sub(b"", content)


def test_a_cursor_of_alices_shows_charlie_his_own(api: Api, cast: Cast, owned: Owned) -> None:
    for path in ("/ai/jobs/", "/ai/openai/jobs/", "/ai/usage/", "/ai/alerts/"):
        first = api.as_(cast.alice).get(path, params={"cursor": "", "page_size": 1})
        assert first.status_code == 200
        following = first.json().get("next")
        if following:
            cursor = re.search(r"cursor=([^&]+)", following)
            assert cursor is not None
            answer = api.as_(cast.charlie).get(path, params={"cursor": cursor[1], "page_size": 1})
            assert b"anary" not in answer.content
            assert answer.status_code in (200, 400)
            assert answer.status_code == 400 or answer.json()["results"] == []


@pytest.mark.parametrize("header", ["X-Brand-ID", "Last-Event-ID", "If-None-Match", "Idempotency-Key"])
def test_a_strangers_value_in_a_header(api: Api, cast: Cast, owned: Owned, header: str) -> None:
    theirs, absent = {
        "X-Brand-ID": (str(cast.brand.pk), ABSENT_NUMBER),
        "Last-Event-ID": (str(owned.done.pk), ABSENT_NUMBER),
        "If-None-Match": (_etag(api.as_(cast.alice)), '"absent"'),
        "Idempotency-Key": ("alices-own", "nobodys"),
    }[header]
    for path in ("/ai/jobs/", "/v1/models", "/v1/files", "/ai/usage/", "/auth/me/", "/ai/credentials/"):
        answers = [
            (answer.status_code, _without(answer.content, theirs, absent))
            for value in (theirs, absent)
            for answer in [api.as_(cast.charlie).get(path, headers={header: value})]
        ]
        assert answers[0] == answers[1], path


def _etag(alice: Api) -> str:
    return alice.get("/ai/jobs/").headers.get("etag", '"canary"')


@pytest.mark.any_database
def test_every_single_scope_of_a_key(
    api: Api, cast: Cast, owned: Owned, capsys: pytest.CaptureFixture[str]
) -> None:
    """A stranger's key with one scope each: reads and changes nothing of Alice's, and cannot tell."""
    cases, before = 0, owned.now()
    for scope in sorted(cast.charlie.caller.scopes):
        holder = api.as_(cast.charlie.api_key(scope))
        for row in ROWS:
            theirs, absent = owned.ids(row.owned)[0]
            cases += 1
            foreign, random = (test_isolation.told(_ask(holder, row, ids)) for ids in (theirs, absent))
            assert foreign == random, (scope, row)
            assert foreign[0] in (403, 404), (scope, row)
    with capsys.disabled():
        sys.stdout.write(f"\n{cases} cases (scope, route), 0 leaks\n")
    assert owned.now() == before


def test_a_viewer_changes_nothing_of_their_own_company(api: Api, cast: Cast, owned: Owned) -> None:
    viewer = world.make_person(f"{cast.alice.user.username}-looks", cast.company, cast.brand, "viewer")
    before = owned.now()

    for row in ROWS:
        if row.method != "GET":
            answer = _ask(api.as_(viewer), row, owned.ids(row.owned)[0][0])
            assert answer.status_code in (403, 404), row
    assert owned.now() == before


#: Kinds that belong to a brand; the others are the company's.
OF_A_BRAND = {"job", "done", "batch", "file", "filebatch", "overbatch", "schedule", "usage"}


def test_a_member_without_the_brand_finds_nothing_of_it(api: Api, cast: Cast, owned: Owned) -> None:
    """An administrator of the company, but of another brand: a job of this one is an absent one."""
    other = type(cast.brand).objects.unscoped().create(company=cast.company, name="Elsewhere")
    name = f"{cast.alice.user.username}-elsewhere"
    person = world.make_person(name, cast.company, cast.brand, "admin")
    Membership.objects.unscoped().get(user=person.user).brands.set([other])
    cache.forget_everything()
    elsewhere, before = api.as_(person.token, x_brand_id=str(other.pk)), owned.now()

    for row in ROWS:
        if row.owned in OF_A_BRAND:
            theirs, absent = owned.ids(row.owned)[0]
            foreign, random = (test_isolation.told(_ask(elsewhere, row, ids)) for ids in (theirs, absent))
            assert foreign == random, row
            assert foreign[0] == 404, row
    assert owned.now() == before


def _ask(api: Api, row: Row, ids: tuple[str, ...]) -> Any:
    left = iter(ids)
    path = re.sub(r"\{\w+\}", lambda _: next(left), row.path)
    return api.request(row.method, path, json=row.body)


class TestCanaries:
    """What a company says lies where it belongs, and nowhere else."""

    def test_events_are_its_own(self, cast: Cast, owned: Owned) -> None:
        rows = [row for row in Outbox.objects.unscoped().all() if "anary" in str(row.data)]

        assert {row.company_id for row in rows} <= {
            company for company in {row.company_id for row in rows} if company != cast.charlie.company.pk
        }

    def test_files_are_under_names_of_ours(self, cast: Cast, owned: Owned) -> None:
        for row in StoredFile.objects.of(cast.company.pk):
            assert "anary" not in row.name

    @pytest.mark.skipif(not live.REDIS_URL, reason="there is no Redis here")
    def test_redis_knows_none(self, api: Api, cast: Cast, owned: Owned) -> None:
        api.as_(cast.alice).post("/ai/jobs/", {**MINE, "prompt": "Canary", "description": "Canary"})
        with redis.Redis.from_url(live.REDIS_URL) as client:
            for key in client.scan_iter("*", count=1000):
                assert b"anary" not in key
                kind = client.type(key)
                if kind == b"list":
                    assert b"anary" not in b"".join(client.lrange(key, 0, -1))
                elif kind == b"string":
                    assert b"anary" not in (client.get(key) or b"")

    def test_logs_hold_none(
        self, api: Api, cast: Cast, owned: Owned, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level("DEBUG"):
            api.as_(cast.alice).post(
                "/v1/chat/completions",
                {"model": "nothing", "messages": [{"role": "user", "content": "Canary"}]},
            )
            api.as_(cast.charlie).get(f"/ai/jobs/{owned.job.pk}/")
            api.as_(cast.alice).get("/ai/jobs/?search=Canary")
        said = [each.getMessage() for each in caplog.records if each.name.startswith(("megahub", "ai_"))]
        assert not [each for each in said if "anary" in each]
