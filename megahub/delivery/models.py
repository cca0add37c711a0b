"""The outbox, the addresses that companies named, and what was (or is to be) sent to each."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from megahub.kernel import clock, vault
from megahub.kernel.text import SECRET_MARK
from megahub.tenancy import services as tenancy
from megahub.tenancy.scoping import CompanyOwned


class Outbox(CompanyOwned):
    """What must be told, written in the transaction of the change that it tells of."""

    event_id = models.CharField(max_length=40, unique=True)
    event_type = models.CharField(max_length=40)
    data = models.JSONField()
    created_at = models.DateTimeField(default=clock.now)
    #: When it was spread to the endpoints that wanted it.
    relayed_at = models.DateTimeField(null=True)

    class Meta(CompanyOwned.Meta):
        verbose_name_plural = "outbox"
        indexes = [
            models.Index(fields=["id"], condition=Q(relayed_at=None), name="outbox_waiting"),
            models.Index(fields=["relayed_at"], name="outbox_relayed"),
        ]

    def __str__(self) -> str:
        return f"{self.event_type} {self.event_id}"


class WebhookEndpoint(CompanyOwned):
    """An address of a company's own that wants to hear of events. Its secrets are sealed."""

    class Kind(models.TextChoices):
        STANDARD = "standard", _("Standard Webhooks")
        SLACK = "slack", _("Slack-compatible")

    class Disabled(models.TextChoices):
        GONE = "gone", _("The receiver answered 410 Gone")
        FAILING = "failing", _("It failed for three days")

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    kind = models.CharField(max_length=8, choices=Kind.choices, default=Kind.STANDARD)
    url = models.CharField(max_length=2000)
    description = models.CharField(max_length=200, blank=True)
    events = models.JSONField(default=list)
    sealed_secret = models.BinaryField(editable=False)
    sealed_previous = models.BinaryField(null=True, editable=False)
    previous_until = models.DateTimeField(null=True, editable=False)
    is_active = models.BooleanField(default=True)
    failures = models.PositiveIntegerField(default=0, editable=False)
    failing_since = models.DateTimeField(null=True, editable=False)
    disabled_at = models.DateTimeField(null=True, editable=False)
    disabled_reason = models.CharField(max_length=8, choices=Disabled.choices, blank=True, editable=False)
    last_success_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(default=clock.now, editable=False)

    audited = ("kind", "url", "description", "events", "is_active", "previous_until")

    class Meta(CompanyOwned.Meta):
        ordering = ("id",)

    def __str__(self) -> str:
        return self.url

    def seal(self, secret: str) -> bytes:
        """``secret`` for one of the sealed columns, bound to this company and row."""
        return vault.seal(tenancy.data_key(self.company_id), secret, self._context)

    def secrets(self) -> list[str]:
        """The secrets that are good now, the newest first. Raises vault.Sealed."""
        found = [bytes(self.sealed_secret)]
        until = self.previous_until
        if self.sealed_previous is not None and until is not None and until > clock.now():
            found.append(bytes(self.sealed_previous))
        key = tenancy.data_key(self.company_id)
        return [vault.unseal(key, sealed, self._context) for sealed in found]

    @property
    def _context(self) -> str:
        return f"delivery_webhookendpoint|{self.company_id}|{self.uid}|secret"


class WebhookDelivery(CompanyOwned):
    """One event for one endpoint: what is sent, how often it was tried, how that went.

    ``attempt`` counts the attempts that were begun; an attempt is claimed by moving ``next_at``
    beyond its lease, by compare-and-swap on ``attempt`` (services/relay.py). ``history`` has an entry
    for each attempt that ended: ``{attempt, at, status, ms, error}``.
    """

    class State(models.TextChoices):
        PENDING = "pending", _("Pending")
        DELIVERED = "delivered", _("Delivered")
        FAILED = "failed", _("Given up")

    endpoint = models.ForeignKey(WebhookEndpoint, on_delete=models.CASCADE, related_name="deliveries")
    event_id = models.CharField(max_length=40)
    event_type = models.CharField(max_length=40)
    body = models.TextField()
    state = models.CharField(max_length=9, choices=State.choices, default=State.PENDING)
    attempt = models.PositiveSmallIntegerField(default=0)
    #: Attempts since it was last asked for (a redelivery begins anew).
    tries = models.PositiveSmallIntegerField(default=0)
    status = models.PositiveSmallIntegerField(null=True)
    ms = models.PositiveIntegerField(null=True)
    error = models.CharField(max_length=200, blank=True)
    history = models.JSONField(default=list)
    created_at = models.DateTimeField(default=clock.now)
    delivered_at = models.DateTimeField(null=True)
    next_at = models.DateTimeField(null=True, default=clock.now)

    audited = ("endpoint", "event_id", "event_type", "state")

    class Meta(CompanyOwned.Meta):
        verbose_name_plural = "webhook deliveries"
        ordering = (F("id").desc(),)
        constraints = [
            models.UniqueConstraint(fields=["endpoint", "event_id"], name="one_delivery_per_endpoint")
        ]
        indexes = [
            models.Index(
                fields=["endpoint", "next_at"], condition=Q(state="pending"), name="delivery_waiting"
            ),
            models.Index(fields=["created_at"], name="delivery_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.event_type} → {self.endpoint_id}"


class Mail(CompanyOwned):
    """An e-mail to one person, written in the transaction of the change that it tells of, then sent.

    Claimed like a webhook's delivery. ``history`` has an entry for each attempt that ended; an address
    that the mail server refuses for good is ``failed`` at once.
    """

    class State(models.TextChoices):
        PENDING = "pending", _("Pending")
        SENT = "sent", _("Sent")
        FAILED = "failed", _("Given up")

    about = models.CharField(max_length=80)
    to = models.EmailField()
    subject = models.CharField(max_length=200)
    text = models.TextField()
    state = models.CharField(max_length=7, choices=State.choices, default=State.PENDING)
    attempt = models.PositiveSmallIntegerField(default=0)
    error = models.CharField(max_length=200, blank=True)
    history = models.JSONField(default=list)
    created_at = models.DateTimeField(default=clock.now)
    sent_at = models.DateTimeField(null=True)
    next_at = models.DateTimeField(null=True, default=clock.now)
    #: What stands in place of SECRET_MARK while it is sent; gone when that is over.
    sealed = models.BinaryField(null=True, editable=False)

    class Meta(CompanyOwned.Meta):
        ordering = (F("id").desc(),)
        constraints = [models.UniqueConstraint(fields=["company", "about", "to"], name="one_mail_about_it")]
        indexes = [models.Index(fields=["next_at"], condition=Q(state="pending"), name="mail_waiting")]

    def __str__(self) -> str:
        return f"{self.subject} → {self.to}"

    def keep_secret(self, secret: str) -> None:
        """Keep what only the receiver may read sealed; the text has SECRET_MARK in its place."""
        self.sealed = vault.seal(tenancy.data_key(self.company_id), secret, self._context)

    def whole_text(self) -> str:
        """The text as it is sent. Raises vault.Sealed."""
        if self.sealed is None:
            return self.text
        key = tenancy.data_key(self.company_id)
        return self.text.replace(SECRET_MARK, vault.unseal(key, bytes(self.sealed), self._context))

    @property
    def _context(self) -> str:
        return f"delivery_mail|{self.company_id}|{self.about}|{self.to}"
