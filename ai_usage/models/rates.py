"""Rate limits, and the buckets that count them where there is no Redis."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from ai_usage.domain import rates
from megahub.kernel import clock
from megahub.tenancy.scoping import CompanyOwned


class RateLimit(CompanyOwned):
    """How many requests and tokens a minute: of all of a company, of an API key, or to a model."""

    class Scope(models.TextChoices):
        COMPANY = "company", _("Whole company")
        API_KEY = "api_key", pgettext_lazy("heading", "API key")
        MODEL = "model", _("Model")

    scope = models.CharField(max_length=10, choices=Scope.choices, default=Scope.COMPANY)
    scope_value = models.CharField(max_length=120, blank=True)
    requests_per_minute = models.PositiveIntegerField(null=True, blank=True)
    tokens_per_minute = models.PositiveIntegerField(null=True, blank=True)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=clock.now, editable=False)
    #: A job that was let in before is not put right against another limit than it was counted by.
    changed_at = models.DateTimeField(default=clock.now, editable=False)

    scopes_point_to: ClassVar[dict[str, str]] = {"api_key": "tenancy.ApiKey"}
    audited = ("scope", "scope_value", "requests_per_minute", "tokens_per_minute", "is_active")

    class Meta(CompanyOwned.Meta):
        constraints = [
            models.UniqueConstraint(fields=["company", "scope", "scope_value"], name="rate_limit_once"),
            models.CheckConstraint(
                condition=Q(requests_per_minute=None)
                | Q(requests_per_minute__gte=1, requests_per_minute__lte=rates.MOST),
                name="requests_in_bounds",
            ),
            models.CheckConstraint(
                condition=Q(tokens_per_minute=None)
                | Q(tokens_per_minute__gte=1, tokens_per_minute__lte=rates.MOST),
                name="tokens_in_bounds",
            ),
        ]

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.changed_at = clock.now() if self.pk else self.created_at
        if kwargs.get("update_fields") is not None:
            kwargs["update_fields"] = {*kwargs["update_fields"], "changed_at"}
        super().save(*args, **kwargs)

    def __str__(self) -> str:
        return f"{self.get_scope_display()} {self.scope_value}".strip()


class RateBucket(models.Model):
    """What a limit's bucket owes (ai_usage/domain/rates.py); used without Redis, or while it is gone."""

    rate_limit = models.ForeignKey(RateLimit, on_delete=models.CASCADE, related_name="buckets")
    unit = models.CharField(max_length=8)
    owed = models.BigIntegerField(default=0)
    at_ms = models.BigIntegerField()
    empty_ms = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["rate_limit", "unit"], name="one_bucket_per_unit"),
        ]

    def __str__(self) -> str:
        return f"{self.rate_limit_id}:{self.unit}"
