"""A row of every model that the admin shows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.contrib import admin
from django.contrib.auth.models import Group
from django.urls import reverse

from ai_batch.models import Batch, BatchSchedule, StoredFile
from ai_core import pipeline
from ai_core.models import AIBatch, AIJob, BatchJob, ProviderGate
from ai_core.services import forgetting
from ai_guard.services import findings, policies
from ai_providers import services as providers
from ai_providers.models import AIModel
from ai_usage.models import AIUsageAlert, AlertRule, JobRating, RateLimit, UnknownExposure, UsageRollup
from megahub.delivery.domain import events, signing
from megahub.delivery.models import Outbox, WebhookDelivery, WebhookEndpoint
from megahub.kernel import cache, clock, loop, trail
from megahub.tenancy import members
from megahub.tenancy.models import IdempotencyKey, RefreshToken, SignIn
from tests import world
from tests.exports import made_export, made_schedule
from tests.world import RUN, Cast

SPARE_MODEL = "granite"
INVITED = {"email": "", "role": "member", "brands": [], "expires_in_days": 7}
#: Models of which somebody may add a row.
ADDED = {
    "tenancy.company", "tenancy.brand", "tenancy.user", "tenancy.membership", "tenancy.apikey",
    "auth.group", "ai_providers.aimodel", "ai_providers.aicredentials", "ai_providers.exchangerate",
    "ai_usage.budget", "ai_usage.alertrule", "ai_guard.guardpolicy", "ai_usage.ratelimit",
}  # fmt: skip


@pytest.fixture(scope="module")
def one_of_each(kept_cast: Cast) -> Iterator[Cast]:
    """A row of every model, for tests that only look; what belongs to the whole hub is put back."""
    cast = kept_cast
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
    batches(cast)
    JobRating.objects.unscoped().create(
        company=cast.company, job_id=batch.jobs.get().job_id, user=cast.alice.user, score_tenths=70
    )
    UsageRollup.objects.unscoped().get_or_create(
        company=cast.company, day=date(2026, 1, 1), sandbox=False, brand_id=0, model="m",
        defaults={"jobs": 3, "failed": 1, "ratings": 1, "ratings_tenths": 70},
    )  # fmt: skip
    trail.note(trail.system("test"), "test.look", cast.company, done=True)
    session = SignIn.objects.filter(user=cast.alice.user).get()
    RefreshToken.objects.create(
        sign_in=session, digest=f"d{session.pk}"[:64], expires_at=session.created_at
    )
    Authenticator.objects.create(user=cast.bob.user, type="totp", data={"secret": "sealed"})
    SocialAccount.objects.create(user=cast.bob.user, provider="sso", uid=f"u-{RUN}-{cast.bob.user.pk}")
    Group.objects.get_or_create(name=f"group {RUN}")
    override = AIModel.objects.create(model_id=SPARE_MODEL)
    yield cast
    override.delete()
    cache.forget_everything()


def batches(cast: Cast) -> None:
    """A file, a batch of it, and one that comes again; nothing of it is due."""
    own: dict[str, Any] = {"company": cast.company, "brand": cast.brand, "created_by": cast.alice.user}
    facts = {"filename": "a.jsonl", "purpose": "batch", "bytes": 7, "sha256": "0" * 64, "name": "gone"}
    file = StoredFile.objects.unscoped().create(**own, file_id=f"file-{cast.company.pk}", **facts)
    schedule = BatchSchedule.objects.unscoped().create(
        **own, schedule_id=f"sched_{cast.company.pk}", name="Day 1", cron="0 6 * * *", template=file
    )
    Batch.objects.unscoped().create(
        **own, batch_id=f"batch_{cast.company.pk}", endpoint="/v1/chat/completions", input_file=file,
        file_asked=file.file_id, schedule=schedule, status="failed", errors=[{"line": 1, "code": "x"}],
    )  # fmt: skip


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


def addresses() -> list[tuple[str, str]]:
    """Every page of the admin: a model's list, its newest row, and where one is added."""
    found = []
    for model in sorted(admin.site._registry, key=lambda model: model._meta.label_lower):
        name = model._meta.label_lower.replace(".", "_")
        row = model._default_manager.order_by("-pk").first()
        found.append((f"{name}-list", reverse(f"admin:{name}_changelist")))
        found.append((f"{name}-row", reverse(f"admin:{name}_change", args=[row.pk])))
        if model._meta.label_lower in ADDED:
            found.append((f"{name}-add", reverse(f"admin:{name}_add")))
    return found
