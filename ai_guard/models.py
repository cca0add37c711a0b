"""A company's policy, what its content filter found, and whom was forgotten."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ai_guard.domain import rules
from megahub.kernel import clock
from megahub.tenancy.scoping import CompanyOwned

MAX_DAYS = 3650


def check_words(words: Any) -> None:
    """A field validator: a list of plain words."""
    if not isinstance(words, list) or len(words) > rules.MAX_WORDS:
        raise ValidationError(_("A list of %d words at most.") % rules.MAX_WORDS)
    for word in words:
        if not isinstance(word, str) or not 0 < len(rules.folded(word)) <= rules.MAX_LENGTH:
            raise ValidationError(_("Each word has 1 to %d characters.") % rules.MAX_LENGTH)


class GuardPolicy(CompanyOwned):
    """What a company keeps of prompts and answers, and what it allows in them; without a row: everything.

    ``keep_days`` says after how many days texts are deleted from jobs; what they used and cost stays.
    ``forgotten_until`` is how far that has come.
    """

    class Prompts(models.TextChoices):
        ALL = "all", _("Store")
        MASKED = "masked", _("Store with personal data masked")
        NONE = "none", _("Do not store")

    class Filter(models.TextChoices):
        OFF = "off", _("Off")
        FLAG = "flag", _("Flag")
        BLOCK = "block", _("Block")

    audited = ("prompts", "keep_days", "content_filter", "words", "moderation")

    company = models.OneToOneField("tenancy.Company", on_delete=models.CASCADE, related_name="+")
    prompts = models.CharField(max_length=6, choices=Prompts.choices, default=Prompts.ALL)
    keep_days = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(MAX_DAYS)]
    )
    content_filter = models.CharField(max_length=5, choices=Filter.choices, default=Filter.OFF)
    words = models.JSONField(default=list, blank=True, validators=[check_words])
    #: Whether the provider's moderation looks at texts, too, through the company's own key.
    moderation = models.BooleanField(default=False, db_default=False)
    forgotten_until = models.DateTimeField(null=True, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta(CompanyOwned.Meta):
        verbose_name_plural = _("guard policies")

    def __str__(self) -> str:
        return gettext("policy of %s") % self.company


class Finding(CompanyOwned):
    """Something that the content filter flagged or blocked; of the text, nothing is kept."""

    class Direction(models.TextChoices):
        INPUT = "input", _("Input")
        OUTPUT = "output", _("Output")

    class Action(models.TextChoices):
        FLAGGED = "flagged", _("Flagged")
        BLOCKED = "blocked", _("Blocked")

    brand = models.ForeignKey("tenancy.Brand", on_delete=models.CASCADE, related_name="+")
    direction = models.CharField(max_length=6, choices=Direction.choices)
    action = models.CharField(max_length=7, choices=Action.choices)
    #: How many of the company's words, and of the provider's categories, were found.
    hits = models.PositiveIntegerField()
    #: The job; empty for a request that was blocked before it became one.
    job_ref = models.CharField(max_length=40, blank=True)
    model = models.CharField(max_length=120)
    created_at = models.DateTimeField(default=clock.now)

    class Meta(CompanyOwned.Meta):
        ordering = ("-created_at", "-id")
        indexes = [models.Index(fields=["company", "-created_at"], name="finding_by_company")]

    def __str__(self) -> str:
        return f"{self.direction} {self.action} {self.job_ref}".strip()


class Erasure(CompanyOwned):
    """Somebody was forgotten on request. Who it was can be checked by a keyed digest, not read."""

    audited = ("end_user_digest", "jobs", "waiting")

    end_user_digest = models.CharField(max_length=64)
    jobs = models.PositiveIntegerField()
    waiting = models.PositiveIntegerField()
    created_by = models.ForeignKey("tenancy.User", null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=clock.now)

    class Meta(CompanyOwned.Meta):
        ordering = ("-created_at", "-id")

    def __str__(self) -> str:
        return gettext("erasure of %(day)s") % {"day": f"{self.created_at:%Y-%m-%d %H:%M}"}
