"""The trail and its heads. Rows are written by ``megahub.kernel.trail`` alone, and never again."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from megahub.tenancy.models import Company
from megahub.tenancy.scoping import CompanyOwned


class AuditEntry(CompanyOwned):
    """One change. ``chain`` is the company's number, 0 for what is the whole hub's.

    People and keys are named by number and by name, not by reference: they may go, this stays.
    """

    class ActorKind(models.TextChoices):
        USER = "user", _("Person")
        KEY = "key", _("API key")
        COMMAND = "command", _("Command")
        SYSTEM = "system", _("The hub itself")
        ANONYMOUS = "anonymous", _("Nobody known")

    append_only = True

    company = models.ForeignKey(  # type: ignore[assignment]
        Company, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    chain = models.BigIntegerField()
    seq = models.BigIntegerField()
    at = models.DateTimeField()
    actor_kind = models.CharField(max_length=10, choices=ActorKind.choices)
    actor_id = models.BigIntegerField(null=True)
    actor_name = models.CharField(max_length=150)
    api_key_id = models.BigIntegerField(null=True)
    ip = models.CharField(max_length=64)
    hops = models.PositiveSmallIntegerField()
    user_agent = models.CharField(max_length=200)
    request_id = models.CharField(max_length=64)
    action = models.CharField(max_length=60)
    object_type = models.CharField(max_length=60)
    object_id = models.CharField(max_length=80)
    object_name = models.CharField(max_length=150)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    reason = models.CharField(max_length=500)
    prev_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)

    class Meta(CompanyOwned.Meta):
        ordering = ("-id",)
        constraints = [models.UniqueConstraint(fields=["chain", "seq"], name="audit_place_once")]
        indexes = [
            models.Index(fields=["company", "-at"], name="audit_by_company"),
            models.Index(fields=["object_type", "object_id"], name="audit_by_object"),
        ]

    def __str__(self) -> str:
        return f"{self.chain}/{self.seq} {self.action}"


class AuditHead(models.Model):
    """Where a chain ends: locked while an entry is put behind it."""

    chain = models.BigIntegerField(primary_key=True)
    seq = models.BigIntegerField()
    hash = models.CharField(max_length=64)

    def __str__(self) -> str:
        return f"{self.chain}/{self.seq}"
