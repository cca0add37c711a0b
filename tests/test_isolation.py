"""Of what is another company's nothing can be told: every answer is byte for byte an absent id's."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from django.test import override_settings

from ai_batch.models import Batch, BatchSchedule, Line, StoredFile
from ai_core import pipeline
from ai_core.models import AIBatch, AIJob
from ai_providers import services as providers
from ai_providers.adapters.registry import ADAPTERS
from ai_providers.models import AICredentials, SealedKey
from ai_usage.models import (
    AIUsageAlert,
    AlertRule,
    Budget,
    Export,
    ExportSchedule,
    JobRating,
    LedgerEntry,
    RateLimit,
)
from ai_usage.services import alerts
from megahub.delivery.models import WebhookDelivery, WebhookEndpoint
from megahub.delivery.services import endpoints
from megahub.kernel import loop, queue
from megahub.tenancy import members, services
from megahub.tenancy.models import ApiKey, Brand, Invitation, Membership
from tests import routes, world
from tests.conftest import Api
from tests.delivery.receiver import Receiver, listening
from tests.exports import made_export, made_schedule
from tests.stubs import Scripted, completion
from tests.world import Cast, Person

ABSENT_NUMBER = "999999999"
ABSENT_JOB = "ai_job_000000000000000000000000"
ABSENT_BATCH = "ai_batch_000000000000000000000000"
ABSENT_FILE = "file-000000000000000000000000"
ABSENT_FILE_BATCH = "batch_000000000000000000000000"
GOOGLE = "AIzaSy0123456789_-0123456789"
Rung = list[tuple[str, tuple[Any, ...], str]]
#: The values of a path's parameters in their order.
Ids = tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """A method of a path, what to send, and whose its id is: a job's, a key's, …"""

    method: str
    path: str
    owned: str
    body: Any = None


#: A rate limit that nothing here comes near.
ROOMY = {"scope": "model", "scope_value": "o1", "requests_per_minute": 10**6}
INVITED = {"email": "canary@example.com", "role": "member", "brands": [], "expires_in_days": 7}
MINE = {"description": "mine now"}
ROWS = [
    Row("GET", "/ai/jobs/{ref}/", "job"),
    Row("PUT", "/ai/jobs/{ref}/", "job", {**MINE, "priority": "low"}),
    Row("PATCH", "/ai/jobs/{ref}/", "job", MINE),
    Row("DELETE", "/ai/jobs/{ref}/", "job"),
    Row("POST", "/ai/jobs/{ref}/cancel/", "job"),
    Row("GET", "/ai/jobs/{ref}/events/", "job"),
    Row("GET", "/ai/jobs/{ref}/feedback/", "done"),
    Row("POST", "/ai/jobs/{ref}/feedback/", "done", {"score": 1, "comment": "mine now"}),
    Row("GET", "/ai/openai/jobs/{ref}/", "job"),
    Row("PUT", "/ai/openai/jobs/{ref}/", "job", {**MINE, "temperature": 0.1}),
    Row("PATCH", "/ai/openai/jobs/{ref}/", "job", MINE),
    Row("DELETE", "/ai/openai/jobs/{ref}/", "job"),
    Row("GET", "/ai/batch-analysis/{batch_id}/status/", "batch"),
    Row("GET", "/ai/batch-analysis/{batch_id}/results/", "batch"),
    Row("GET", "/v1/files/{file_id}", "file"),
    Row("GET", "/v1/files/{file_id}/content", "file"),
    Row("DELETE", "/v1/files/{file_id}", "file"),
    Row("GET", "/api/batch/schedules/{schedule_id}", "schedule"),
    Row("GET", "/api/batch/schedules/{schedule_id}/history", "schedule"),
    Row("PATCH", "/api/batch/schedules/{schedule_id}", "schedule", {"name": "mine now"}),
    Row("DELETE", "/api/batch/schedules/{schedule_id}", "schedule"),
    Row("GET", "/api/batch/{batch_id}", "filebatch"),
    Row("POST", "/api/batch/{batch_id}/cancel", "filebatch"),
    Row("POST", "/api/batch/{batch_id}/retry_failed", "overbatch"),
    Row("GET", "/api/batch/{batch_id}/events", "overbatch"),
    Row("GET", "/api/batch/{batch_id}/results", "filebatch"),
    Row("GET", "/v1/batches/{batch_id}", "filebatch"),
    Row("POST", "/v1/batches/{batch_id}/cancel", "filebatch"),
    Row("GET", "/ai/usage/{pk}/", "usage"),
    Row("GET", "/ai/usage/{pk}/explain/", "usage"),
    Row("GET", "/ai/usage/exports/{pk}/", "export"),
    Row("GET", "/ai/usage/exports/{pk}/download/", "export"),
    Row("GET", "/ai/usage/exports/{pk}/trailer/", "export"),
    Row("DELETE", "/ai/usage/exports/{pk}/", "export"),
    Row("GET", "/ai/usage/export-schedules/{pk}/", "export_schedule"),
    Row("PUT", "/ai/usage/export-schedules/{pk}/", "export_schedule", {"hour": 9}),
    Row("PATCH", "/ai/usage/export-schedules/{pk}/", "export_schedule", {"hour": 9}),
    Row("GET", "/ai/usage/export-schedules/{pk}/history/", "export_schedule"),
    Row("DELETE", "/ai/usage/export-schedules/{pk}/", "export_schedule"),
    Row("GET", "/ai/rate-limits/{pk}/", "rate_limit"),
    Row("PUT", "/ai/rate-limits/{pk}/", "rate_limit", {"requests_per_minute": 1}),
    Row("PATCH", "/ai/rate-limits/{pk}/", "rate_limit", {"is_active": False}),
    Row("DELETE", "/ai/rate-limits/{pk}/", "rate_limit"),
    Row("GET", "/ai/budgets/{pk}/", "budget"),
    Row("GET", "/ai/budgets/{pk}/windows/", "budget"),
    Row("PUT", "/ai/budgets/{pk}/", "budget", {"limit": "99"}),
    Row("PATCH", "/ai/budgets/{pk}/", "budget", {"is_active": False}),
    Row("DELETE", "/ai/budgets/{pk}/", "budget"),
    Row("GET", "/ai/alerts/{pk}/", "alert"),
    Row("PUT", "/ai/alerts/{pk}/resolve/", "alert", {"resolution_note": "mine now"}),
    Row("POST", "/ai/alerts/{pk}/resolve/", "alert", {"resolution_note": "mine now"}),
    Row("GET", "/ai/credentials/{pk}/", "credentials"),
    Row("PUT", "/ai/credentials/{pk}/", "credentials", {"google_api_key": GOOGLE + "mine"}),
    Row("PATCH", "/ai/credentials/{pk}/", "credentials", {"openai_organization": "org-mine"}),
    Row("DELETE", "/ai/credentials/{pk}/", "credentials"),
    Row("GET", "/ai/webhooks/{pk}/", "webhook"),
    Row("PUT", "/ai/webhooks/{pk}/", "webhook", {**MINE, "is_active": False}),
    Row("PATCH", "/ai/webhooks/{pk}/", "webhook", MINE),
    Row("DELETE", "/ai/webhooks/{pk}/", "webhook"),
    Row("POST", "/ai/webhooks/{pk}/rotate_secret/", "webhook"),
    Row("POST", "/ai/webhooks/{pk}/test/", "webhook"),
    Row("GET", "/ai/webhooks/{webhook_pk}/deliveries/", "webhook"),
    Row("GET", "/ai/webhooks/{webhook_pk}/deliveries/{pk}/", "delivery"),
    Row("POST", "/ai/webhooks/{webhook_pk}/deliveries/{pk}/redeliver/", "delivery"),
    Row("DELETE", "/auth/keys/{key_id}/", "key"),
    Row("GET", "/auth/members/{pk}/", "member"),
    Row("PATCH", "/auth/members/{pk}/", "member", {"role": "viewer"}),
    Row("DELETE", "/auth/members/{pk}/", "member"),
    Row("DELETE", "/auth/invitations/{pk}/", "invitation"),
    Row("PATCH", "/auth/brands/{pk}/", "other_brand", {"name": "mine now"}),
]
#: Ids in the query.
QUERIES = [Row("GET", "/ai/openai/completion/job_result/?job_id={ref}", "job")]
#: What belongs to no company.
EVERYBODYS = {
    ("GET", "/ai/job-types/{pk}/"),
    ("GET", "/ai/models/{model_id}/schema/"),
    ("GET", "/ai/providers/{ref}/"),
    ("GET", "/v1/models/{model_id}"),
    # Whoever has a signed link: no caller, no company (tests/ai_usage/test_exports_api.py).
    ("GET", "/ai/usage/export-links/{token}/"),
    # A type's name; the threshold that is set there is the caller's own: see below.
    ("PUT", "/ai/alerts/rules/{alert_type}/"),
    ("PATCH", "/ai/alerts/rules/{alert_type}/"),
    ("DELETE", "/ai/alerts/rules/{alert_type}/"),
}


@dataclass(frozen=True)
class Owned:
    """What Alice's company has, and what it looked like; ``strangers`` is Charlie's own endpoint."""

    job: AIJob
    done: AIJob
    key: ApiKey
    batch: AIBatch
    file: StoredFile
    filebatch: Batch
    overbatch: Batch
    schedule: BatchSchedule
    usage: LedgerEntry
    alert: AIUsageAlert
    credentials: AICredentials
    webhook: WebhookEndpoint
    delivery: WebhookDelivery
    export: Export
    export_schedule: ExportSchedule
    rate_limit: RateLimit
    budget: Budget
    member: Membership
    invitation: Invitation
    other_brand: Brand
    strangers: WebhookEndpoint
    receiver: Receiver

    def ids(self, kind: str) -> list[tuple[Ids, Ids]]:
        """(ids of theirs, absent ones of their kind)."""
        if kind == "delivery":
            webhook, delivery, strangers = (
                str(row.pk) for row in (self.webhook, self.delivery, self.strangers)
            )
            return [
                ((webhook, delivery), (ABSENT_NUMBER, ABSENT_NUMBER)),
                ((webhook, delivery), (webhook, ABSENT_NUMBER)),
                ((strangers, delivery), (strangers, ABSENT_NUMBER)),
            ]
        if kind == "batch":
            return [((self.batch.batch_id,), (ABSENT_BATCH,))]
        if kind == "file":
            return [((self.file.file_id,), (ABSENT_FILE,))]
        if kind == "schedule":
            return [((self.schedule.schedule_id,), ("sched_000000000000000000000000",))]
        if kind == "overbatch":
            return [((self.overbatch.batch_id,), (ABSENT_FILE_BATCH,))]
        if kind == "filebatch":
            return [((self.filebatch.batch_id,), (ABSENT_FILE_BATCH,))]
        row = getattr(self, kind)
        numbers = ((str(row.pk),), (ABSENT_NUMBER,))
        return [numbers, ((row.job_id,), (ABSENT_JOB,))] if isinstance(row, AIJob) else [numbers]

    def now(self) -> tuple[Any, ...]:
        """Everything of theirs that a stranger might have changed."""
        company = self.job.company_id
        kept = (
            Export,
            ExportSchedule,
            AIJob,
            RateLimit,
            Budget,
            Membership,
            Invitation,
            Brand,
            ApiKey,
            AIBatch,
            StoredFile,
            BatchSchedule,
            Batch,
            JobRating,
            AIUsageAlert,
            AICredentials,
            SealedKey,
        )
        rows = [
            list(kind.objects.unscoped().filter(company_id=company).order_by("pk").values())
            for kind in (*kept, WebhookEndpoint, WebhookDelivery)
        ]
        return *rows, len(self.receiver.heard)


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with listening() as found:
        yield found


@pytest.fixture
def owned(
    cast: Cast,
    rung: Rung,
    api: Api,
    receiver: Receiver,
    settings: Any,
    provider: Callable[..., Scripted],
) -> Iterator[Owned]:
    settings.HUB_WEBHOOKS_ALLOW_PRIVATE = True
    provider(completion("Canary"))
    found = possessions(cast, api, receiver)
    yield found
    forget_receiver(found)


@pytest.fixture(scope="module")
def kept_owned(kept_cast: Cast, live_url: str, receiver: Receiver) -> Iterator[Owned]:
    """The same once for all tests of this module that only look: it takes a quarter of a second to make."""
    with override_settings(HUB_WEBHOOKS_ALLOW_PRIVATE=True), pytest.MonkeyPatch.context() as patch:
        patch.setattr(queue, "ring", lambda *_, **__: None)
        patch.setitem(ADAPTERS, "openai", Scripted(completion("Canary")))
        found = possessions(kept_cast, Api(live_url), receiver)
    yield found
    forget_receiver(found)


def forget_receiver(found: Owned) -> None:
    """Nothing is ever sent to that receiver's port again."""
    mine = [found.webhook.pk, found.strangers.pk]
    for endpoint in WebhookEndpoint.objects.unscoped().filter(pk__in=mine):
        endpoints.delete(endpoint)


def possessions(cast: Cast, api: Api, receiver: Receiver) -> Owned:
    """Alice's one of each kind."""
    alice, company = cast.alice, cast.company.pk
    job = world.submit(alice, "Canary", later=True, description="Canary")
    done = world.submit(alice, "Canary", description="Canary")
    loop.run(pipeline.run(done))
    key, _ = services.make_api_key(alice.caller, "canary", ["inference"], None, None)
    batch = api.as_(alice).post(
        "/ai/batch-analysis/", {"contents": ["Canary"], "analysis_type": "seo", "model": "gpt-4o-mini"}
    )
    assert batch.status_code == 201
    file = api.as_(alice).post(
        "/v1/files", data={"purpose": "batch"}, files={"file": ("Canary.jsonl", b"Canary\n")}
    )
    asked_of = {"endpoint": "/v1/chat/completions", "completion_window": "24h"}
    for _ in range(2):
        api.as_(alice).post("/v1/batches", {"input_file_id": file.json()["id"], **asked_of})
    again = {"cron": "0 0 1 1 *", "name": "Canary", "endpoint": "/v1/chat/completions", "requests": [{}]}
    assert api.as_(alice).post("/api/batch/schedules", again).status_code == 201
    over = Batch.objects.of(company).first()
    Batch.objects.of(company).filter(pk=over.pk).update(status="cancelled")
    Line.objects.create(
        batch=over,
        line_no=1,
        custom_id="Canary",
        offset=0,
        length=7,
        slice_no=0,
        status="cancelled",
        estimated_nano_usd=0,
        estimated_tokens=0,
    )
    told = {"message": "Canary", "provider_name": "", "severity": "info"}
    alert = alerts.raise_by_hand(company, {**told, "threshold_value": None, "current_value": None})
    for person, last, name in ((alice, "cany", "org-canary"), (cast.charlie, "self", "org-own")):
        providers.store_keys(person.company.pk, {"google": GOOGLE + last}, openai_organization=name)
        providers.store_keys(person.company.pk, {"google": None})  # with a key they would not play
    asked = {"url": receiver.url, "events": ["budget.threshold"], "description": "Canary"}
    webhook, _ = endpoints.register(company, asked)
    strangers, _ = endpoints.register(cast.charlie.company.pk, {**asked, "description": ""})
    return Owned(
        job=world.row(job),
        done=world.row(done),
        key=key,
        batch=AIBatch.objects.of(company).get(),
        file=StoredFile.objects.of(company).get(filename="Canary.jsonl"),
        filebatch=Batch.objects.of(company).get(status="validating"),
        schedule=BatchSchedule.objects.of(company).get(),
        overbatch=Batch.objects.of(company).get(status="cancelled"),
        usage=world.ledger(done)[0],
        alert=alert,
        credentials=AICredentials.objects.of(company).get(),
        webhook=webhook,
        delivery=endpoints.try_out(webhook),
        export=made_export(cast, "Canary"),
        export_schedule=made_schedule(cast, "Canary"),
        rate_limit=RateLimit.objects.unscoped().create(company=cast.company, **ROOMY),
        budget=world.make_budget(cast.company, "1000000", scope="model", scope_value="o1"),
        member=Membership.objects.of(company).get(user=cast.bob.user),
        invitation=members.invite(alice.caller, INVITED)[0],
        other_brand=members.make_brand(alice.caller, "Canary"),
        strangers=strangers,
        receiver=receiver,
    )


def told(response: httpx2.Response) -> tuple[int, bytes, list[tuple[str, str]]]:
    """All of an answer but its own number and the time."""
    own = {"x-request-id", "date"}
    headers = [(name, value) for name, value in response.headers.multi_items() if name not in own]
    return response.status_code, response.content, headers


def test_every_endpoint_with_an_id_has_its_row() -> None:
    """A new one fails here until it is in the table."""
    ours = {
        (method, path)
        for path, pattern in routes.of_the_api().items()
        if "{" in path
        for method in routes.methods_of(pattern)
    }

    assert ours == {(row.method, row.path) for row in ROWS} | EVERYBODYS


@pytest.mark.parametrize("row", [*ROWS, *QUERIES], ids=lambda row: f"{row.method} {row.path}")
def test_a_foreign_id_is_an_absent_one(api: Api, cast: Cast, owned: Owned, row: Row) -> None:
    if row.path.endswith("/events/"):  # they go on until the job has ended
        assert api.as_(cast.alice).post(f"/ai/jobs/{owned.job.pk}/cancel/").status_code == 200
    before = owned.now()

    def ask(person: Person, ids: Ids) -> httpx2.Response:
        values = iter(ids)
        path = re.sub(r"\{\w+\}", lambda _: next(values), row.path)
        return api.as_(person).request(row.method, path, json=row.body)

    for theirs, absent in owned.ids(row.owned):
        foreign = ask(cast.charlie, theirs)
        assert foreign.status_code == 404
        assert told(foreign) == told(ask(cast.charlie, absent))
    assert owned.now() == before
    # And the owner's is there: what was compared is not a path that nobody has.
    theirs, _ = owned.ids(row.owned)[0]
    assert ask(cast.alice, theirs).status_code < 300


@pytest.mark.parametrize(
    ("path", "canary"),
    [
        ("/ai/jobs/", "anary"),
        ("/ai/openai/jobs/", "anary"),
        ("/ai/usage/", "{done.job_id}"),
        ("/ai/alerts/", "anary"),
        ("/ai/alerts/active/", "anary"),
        ("/ai/credentials/", "anary"),
        ("/ai/credentials/history/", "cany"),
        ("/v1/files", "anary"),
        ("/v1/batches", "{filebatch.batch_id}"),
        ("/api/batch/list", "{filebatch.batch_id}"),
        ("/ai/webhooks/", "anary"),
        ("/ai/usage/exports/", "anary"),
        ("/ai/usage/export-schedules/", "anary"),
        ("/auth/keys/", "anary"),
    ],
)
def test_lists_hold_nothing_of_theirs(
    api: Api, kept_cast: Cast, kept_owned: Owned, path: str, canary: str
) -> None:
    said = canary.format(done=kept_owned.done, filebatch=kept_owned.filebatch)

    assert said in api.as_(kept_cast.alice).get(path).text
    stranger = api.as_(kept_cast.charlie).get(path)
    assert stranger.status_code == 200
    assert said not in stranger.text


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/ai/jobs/{}/", "job"),
        ("/ai/openai/jobs/{}/", "job"),
        ("/ai/batch-analysis/{}/status/", "batch"),
        ("/ai/batch-analysis/{}/results/", "batch"),
        ("/v1/files/{}", "file"),
        ("/v1/batches/{}", "filebatch"),
        ("/api/batch/{}", "filebatch"),
        ("/api/batch/{}/results", "filebatch"),
    ],
)
def test_another_brand_of_ones_own_company_is_foreign_too(
    api: Api, kept_cast: Cast, kept_owned: Owned, path: str, kind: str
) -> None:
    """Jobs belong to brands: with another brand's id in the header they are not found."""
    company = kept_cast.company
    other, _ = Brand.objects.unscoped().get_or_create(company=company, name="Other brand")
    elsewhere = api.as_(kept_cast.alice, x_brand_id=str(other.pk))

    for (theirs,), (absent,) in kept_owned.ids(kind):
        foreign = elsewhere.get(path.format(theirs))
        assert foreign.status_code == 404
        assert told(foreign) == told(elsewhere.get(path.format(absent)))


@pytest.mark.parametrize(
    ("method", "body"),
    [("PUT", {"threshold": "0.7"}), ("PATCH", {"is_active": False}), ("DELETE", None)],
)
def test_a_threshold_is_the_callers_own(api: Api, cast: Cast, method: str, body: Any) -> None:
    """The types of alerts are everybody's; what a stranger sets there is nothing to Alice."""
    path = "/ai/alerts/rules/cost_warning/"
    assert api.as_(cast.alice).request("PUT", path, json={"threshold": "0.5"}).status_code == 200
    rows = AlertRule.objects.of(cast.company.pk).values()
    before, listed = rows.get(), api.as_(cast.alice).get("/ai/alerts/rules/").content

    assert api.as_(cast.charlie).request(method, path, json=body).status_code == 200

    assert rows.get() == before
    assert api.as_(cast.alice).get("/ai/alerts/rules/").content == listed
    assert '"0.500000"' not in api.as_(cast.charlie).get("/ai/alerts/rules/").text
