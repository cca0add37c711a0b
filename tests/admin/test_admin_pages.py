"""Every page of the admin opens for those who may see it, and for nobody else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from ai_core import pipeline
from ai_core.models import AIBatch, AIJob, BatchJob, ProviderGate
from ai_core.services import forgetting
from ai_guard.services import findings, policies
from ai_providers import services as providers
from ai_providers.models import AIModel
from ai_usage.models import (
    AIUsageAlert,
    AlertRule,
    JobRating,
    RateBucket,
    RateLimit,
    RatingChange,
    RollupCursor,
    UnknownExposure,
    UsageDay,
    UsageRollup,
)
from megahub.delivery.domain import events, signing
from megahub.delivery.models import Outbox, WebhookDelivery, WebhookEndpoint
from megahub.kernel import cache, clock, loop
from megahub.tenancy import members
from megahub.tenancy.models import IdempotencyKey, RefreshToken, SignIn, Throttle, User
from tests import world
from tests.exports import made_export, made_schedule
from tests.world import RUN, Cast

APPS = ("tenancy", "delivery", "ai_providers", "ai_usage", "ai_core", "ai_openai")
MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label_lower)
ADDED = {
    "tenancy.company", "tenancy.brand", "tenancy.user", "tenancy.membership", "tenancy.apikey",
    "auth.group", "ai_providers.aimodel", "ai_providers.aicredentials", "ai_providers.exchangerate",
    "ai_usage.budget", "ai_usage.alertrule", "ai_guard.guardpolicy", "ai_usage.ratelimit",
}  # fmt: skip
DELETED = {
    "tenancy.membership", "auth.group", "ai_providers.aimodel", "ai_usage.budget", "ai_usage.alertrule",
    "ai_guard.guardpolicy", "ai_usage.ratelimit",
}  # fmt: skip
#: Looked at only, whoever asks.
READ_ONLY = {
    "tenancy.signin", "tenancy.companykey", "tenancy.invitation", "tenancy.idempotencykey",
    "ai_providers.sealedkey",
    "ai_usage.budgetwindow", "ai_usage.ledgerentry", "ai_usage.aijobusage", "ai_core.aijob",
    "ai_core.attempt", "ai_core.workersession", "ai_core.aibatch", "ai_openai.openaijob",
    "delivery.webhookendpoint", "delivery.webhookdelivery", "delivery.outbox",
    "delivery.mail", "ai_usage.export", "ai_usage.exportschedule",
    "ai_guard.finding", "ai_guard.erasure",
}  # fmt: skip
SPARE_MODEL = "granite"
INVITED = {"email": "", "role": "member", "brands": [], "expires_in_days": 7}


@pytest.fixture
def one_of_each(cast: Cast) -> Any:
    """A row of every model; what belongs to the whole hub is put back."""
    cast.alice.api_key()
    world.make_budget(cast.company, usd="10")
    loop.run(pipeline.run(world.submit(cast.alice)))
    providers.store_keys(cast.charlie.company.pk, {"openai": "sk-" + "a" * 20})
    IdempotencyKey.objects.unscoped().create(
        company=cast.company, route="r", key=f"key-{cast.company.pk}", body_digest="0", job_ref="j"
    )
    RateLimit.objects.unscoped().create(company=cast.company, requests_per_minute=10**6)
    members.invite(cast.alice.caller, INVITED)
    made_export(cast)
    made_schedule(cast)
    AIUsageAlert.objects.unscoped().create(
        company=cast.company, alert_type="model_unpriced", subject="m", window_start=date(2026, 1, 1)
    )
    batch = AIBatch.objects.unscoped().create(
        company=cast.company,
        brand=cast.brand,
        created_by=cast.alice.user,
        batch_id=f"ai_batch_{cast.company.pk}",
        analysis_type="seo",
        model="m",
        total_jobs=1,
        estimated_nano_usd=1,
        estimated_tokens=1,
    )
    BatchJob.objects.create(batch=batch, job=AIJob.objects.of(cast.company.pk).get(), position=0)
    AlertRule.objects.unscoped().create(company=cast.company, alert_type="cost_warning", threshold="0.5")
    ProviderGate.objects.create(
        key=f"key:{cast.company.pk}|openai", state="limited", shut_until=clock.now()
    )
    UnknownExposure.objects.unscoped().create(
        company=cast.company, job_id=batch.jobs.get().job_id, attempt_no=1, expires_at=clock.now()
    )
    policies.change(cast.company.pk, {"prompts": "masked"})
    findings.record(cast.company.pk, cast.brand.pk, direction="input", action="flagged", hits=1, model="m")
    forgetting.erase(cast.company.pk, "nobody", None)
    webhook(cast)
    session = SignIn.objects.filter(user=cast.alice.user).get()
    RefreshToken.objects.create(
        sign_in=session, digest=f"d{session.pk}"[:64], expires_at=session.created_at
    )
    Group.objects.get_or_create(name=f"group {RUN}")
    override = AIModel.objects.create(model_id=SPARE_MODEL)
    yield
    override.delete()
    cache.forget_everything()


def webhook(cast: Cast) -> str:
    """An endpoint (switched off: nothing is sent) with a delivery and an event; its secret."""
    endpoint = WebhookEndpoint(company=cast.company, url="https://a.example.com/", is_active=False)
    secret = signing.new_secret()
    endpoint.sealed_secret = endpoint.seal(secret)
    endpoint.save()
    told = {"company": cast.company, "event_id": events.new_id(), "event_type": "job.failed"}
    WebhookDelivery.objects.unscoped().create(endpoint=endpoint, body="{}", **told)
    Outbox.objects.unscoped().create(data={}, **told)
    return secret


def address(model: Any, page: str, *args: Any) -> str:
    return reverse(f"admin:{model._meta.label_lower.replace('.', '_')}_{page}", args=args)


def test_every_model_has_a_page() -> None:
    ours = {model for model in apps.get_models() if model._meta.app_label in APPS}
    # Refresh tokens are shown with their sign-in, a batch's jobs with the batch; rollups are read as
    # figures, and ratings in them; buckets are limits'; a throttle counts tries under a digest.
    inside = {
        RefreshToken,
        BatchJob,
        UsageRollup,
        UsageDay,
        RollupCursor,
        RateBucket,
        JobRating,
        RatingChange,
        Throttle,
    }
    assert ours - set(MODELS) == inside
    assert {model._meta.label_lower for model in MODELS} >= ADDED | DELETED | READ_ONLY


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label_lower)
def test_pages_open(root: Client, one_of_each: None, model: Any) -> None:
    label = model._meta.label_lower
    row = model._default_manager.order_by("-pk").first()

    assert root.get(address(model, "changelist")).status_code == 200
    assert root.get(address(model, "change", row.pk)).status_code == 200
    assert root.get(address(model, "history", row.pk)).status_code == 200
    assert root.get(address(model, "add")).status_code == (200 if label in ADDED else 403)
    assert root.get(address(model, "delete", row.pk)).status_code == (200 if label in DELETED else 403)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label_lower)
def test_a_search_finds_nothing_and_says_so(root: Client, sandbox_url: str, model: Any) -> None:
    response = root.get(address(model, "changelist"), {"q": "nothing is called like this"})

    assert response.status_code == 200
    if admin.site._registry[model].search_fields:
        assert response.context["cl"].result_list == [] or not response.context["cl"].result_list


@pytest.mark.parametrize("label", sorted(READ_ONLY))
def test_histories_take_no_change(root: Client, one_of_each: None, label: str) -> None:
    model = apps.get_model(label)
    row = model._default_manager.order_by("-pk").first()
    before = model._default_manager.filter(pk=row.pk).values().get()

    response = root.post(address(model, "change", row.pk), {})

    assert response.status_code == 403
    assert model._default_manager.filter(pk=row.pk).values().get() == before


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label_lower)
def test_strangers_are_sent_to_the_door(
    cast: Cast, model: Any, staff: Callable[..., Client], one_of_each: None
) -> None:
    row = model._default_manager.order_by("-pk").first()
    pages = [address(model, "changelist"), address(model, "change", row.pk), address(model, "add")]
    outside, member = Client(), Client()
    member.force_login(cast.alice.user)

    for page in pages:
        assert outside.get(page)["Location"] == f"/admin/login/?next={page}"
        assert member.get(page)["Location"] == f"/admin/login/?next={page}"
        assert staff().get(page).status_code == 403


def test_the_door(sandbox_url: str) -> None:
    name = f"door-{RUN}"
    User.objects.create_superuser(name, password="correct horse")
    client = Client()

    assert client.get("/admin/login/").status_code == 200
    response = client.post("/admin/login/", {"username": name, "password": "correct horse"})

    assert response["Location"] == "/admin/"
    index = client.get("/admin/")
    assert index.status_code == 200
    assert index.context["site_title"] == "MEGAHUB"


def test_the_sidebar(root: Client, staff: Callable[..., Client]) -> None:
    def shown(client: Client) -> dict[str, list[str]]:
        groups = client.get("/admin/").context["sidebar_navigation"]
        found = {
            str(group["title"]): [str(item["title"]) for item in group["items"] if item["has_permission"]]
            for group in groups
        }
        return {title: items for title, items in found.items() if items}

    assert list(shown(root)) == [
        "Companies and people", "Providers", "Jobs", "Money", "Webhooks", "System",
    ]  # fmt: skip
    assert shown(staff("view_aijob")) == {"Jobs": ["Jobs"]}


def test_in_french(root: Client) -> None:
    response = root.get("/admin/ai_core/aijob/", headers={"Accept-Language": "fr"})

    assert response.status_code == 200
    assert '<html lang="fr"' in response.text


def test_a_webhooks_secret_is_nowhere(root: Client, cast: Cast) -> None:
    secret = webhook(cast)
    endpoint = WebhookEndpoint.objects.of(cast.company.pk).get()
    sealed = bytes(endpoint.sealed_secret)

    for page in (address(WebhookEndpoint, "changelist"), address(WebhookEndpoint, "change", endpoint.pk)):
        shown = root.get(page).content
        assert secret.removeprefix("whsec_").encode() not in shown
        assert sealed not in shown
        assert b"sealed_" not in shown
