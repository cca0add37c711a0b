"""Every page of the admin opens for those who may see it, and for nobody else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from ai_batch.models import Line, LineResult
from ai_core.models import BatchJob, SearchBlock, SearchCursor
from ai_usage.models import (
    JobDay,
    JobRemoval,
    JobRollup,
    RateBucket,
    RatingChange,
    RollupCursor,
    UsageDay,
)
from megahub.audit.models import AuditHead
from megahub.delivery.models import WebhookEndpoint
from megahub.tenancy.models import RefreshToken, Throttle, User
from tests.each import ADDED, webhook
from tests.world import RUN, Cast

APPS = set("tenancy audit delivery ai_providers ai_guard ai_usage ai_core ai_openai ai_batch".split())
MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label_lower)
DELETED = {
    "tenancy.membership", "auth.group", "ai_providers.aimodel", "ai_usage.budget", "ai_usage.alertrule",
    "ai_guard.guardpolicy", "ai_usage.ratelimit", "mfa.authenticator", "socialaccount.socialaccount",
}  # fmt: skip
#: Looked at only, whoever asks.
READ_ONLY = {
    "tenancy.signin", "tenancy.companykey", "tenancy.invitation", "tenancy.idempotencykey",
    "ai_providers.sealedkey",
    "ai_usage.budgetwindow", "ai_usage.ledgerentry", "ai_usage.aijobusage", "ai_core.aijob",
    "ai_core.attempt", "ai_core.workersession", "ai_core.aibatch", "ai_openai.openaijob",
    "delivery.webhookendpoint", "delivery.webhookdelivery", "delivery.outbox",
    "delivery.mail", "ai_usage.export", "ai_usage.exportschedule",
    "ai_guard.finding", "ai_guard.erasure", "audit.auditentry", "ai_usage.usagerollup",
    "ai_usage.jobrating", "ai_batch.storedfile", "ai_batch.batch", "ai_batch.batchschedule",
}  # fmt: skip


def address(model: Any, page: str, *args: Any) -> str:
    return reverse(f"admin:{model._meta.label_lower.replace('.', '_')}_{page}", args=args)


def test_every_model_has_a_page() -> None:
    ours = {model for model in apps.get_models() if model._meta.app_label in APPS}
    # Refresh tokens are shown with their sign-in, a batch's jobs with the batch; days are rollups, a
    # rating's changes are in it; a throttle counts somebody's tries under a digest, and a
    # bucket a limit's. Lines are a batch's own, and their results its company's.
    inside = {
        RefreshToken,
        BatchJob,
        UsageDay,
        JobDay,
        JobRollup,
        JobRemoval,
        SearchBlock,
        SearchCursor,
        RollupCursor,
        RateBucket,
        RatingChange,
        Throttle,
        AuditHead,
        Line,
        LineResult,
    }
    assert ours - set(MODELS) == inside
    assert {model._meta.label_lower for model in MODELS} >= ADDED | DELETED | READ_ONLY


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label_lower)
def test_pages_open(root: Client, one_of_each: Cast, model: Any) -> None:
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
def test_histories_take_no_change(root: Client, one_of_each: Cast, label: str) -> None:
    model = apps.get_model(label)
    row = model._default_manager.order_by("-pk").first()
    # A session of a process that lives goes on beating.
    kept = [field.attname for field in model._meta.concrete_fields if field.attname != "beat_at"]
    before = model._default_manager.filter(pk=row.pk).values(*kept).get()

    response = root.post(address(model, "change", row.pk), {})

    assert response.status_code == 403
    assert model._default_manager.filter(pk=row.pk).values(*kept).get() == before


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label_lower)
def test_strangers_are_sent_to_the_door(
    model: Any, staff: Callable[..., Client], one_of_each: Cast
) -> None:
    row = model._default_manager.order_by("-pk").first()
    pages = [address(model, "changelist"), address(model, "change", row.pk), address(model, "add")]
    outside, member, nobody = Client(), Client(), staff()
    member.force_login(one_of_each.alice.user)

    for page in pages:
        assert outside.get(page)["Location"] == f"/admin/login/?next={page}"
        assert member.get(page)["Location"] == f"/admin/login/?next={page}"
        assert nobody.get(page).status_code == 403


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
        "Companies and people", "Providers", "Jobs", "Money", "Webhooks", "Privacy and security", "System",
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
