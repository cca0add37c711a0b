"""Company -> Brands -> Memberships; API keys; sign-in sessions; idempotency keys."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from megahub.kernel import clock
from megahub.tenancy.roles import Role, Scope
from megahub.tenancy.scoping import CompanyOwned


def check_zone(name: str) -> None:
    """A field validator: a known IANA time zone."""
    try:
        clock.zone(name)
    except (KeyError, ValueError) as error:
        raise ValidationError(_("Unknown time zone.")) from error


class BatchEngine(models.TextChoices):
    """Who runs the lines of batches."""

    AUTO = "auto", _("Automatic")
    PROVIDER = "provider", _("The provider's batch API")
    HUB = "hub", _("The hub's workers")


class Company(models.Model):
    """A tenant. Its budgets' calendar windows begin in its own ``timezone``."""

    name = models.CharField(max_length=120, unique=True)
    slug = models.SlugField(max_length=60, unique=True)
    timezone = models.CharField(max_length=64, default="UTC", validators=[check_zone])
    language = models.CharField(
        max_length=8,
        choices=settings.LANGUAGES,
        default="en",
        db_default="en",
        help_text=_("In which mails are written."),
    )
    is_active = models.BooleanField(default=True)
    use_sandbox = models.BooleanField(
        default=False,
        help_text=_("Answer from the sandbox provider as long as no real key is stored."),
    )
    batch_engine = models.CharField(
        max_length=8,
        default=BatchEngine.AUTO,
        choices=BatchEngine.choices,
        help_text=_("For batches that ask for none: the provider's batch API, or the hub's own workers."),
    )
    created_at = models.DateTimeField(default=clock.now, editable=False)

    audited = ("name", "slug", "timezone", "language", "is_active", "use_sandbox", "batch_engine")

    class Meta:
        verbose_name_plural = "companies"
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class CompanyKey(CompanyOwned):
    """The data key that a company's stored secrets are sealed with, wrapped by a master key."""

    master_key_id = models.CharField(max_length=40)
    wrapped = models.BinaryField()
    created_at = models.DateTimeField(default=clock.now, editable=False)
    rewrapped_at = models.DateTimeField(null=True, blank=True)

    class Meta(CompanyOwned.Meta):
        constraints = [models.UniqueConstraint(fields=["company"], name="one_data_key_per_company")]

    def __str__(self) -> str:
        words = {"company": self.company_id, "key": self.master_key_id}
        return gettext("data key of company %(company)s, under %(key)s") % words


class Brand(CompanyOwned):
    """A part of a company that jobs are run and counted for."""

    company = models.ForeignKey(Company, on_delete=models.PROTECT, related_name="brands")
    name = models.CharField(max_length=120)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=clock.now, editable=False)

    audited = ("name", "is_active")

    class Meta(CompanyOwned.Meta):
        ordering = ("name",)
        constraints = [
            models.UniqueConstraint(fields=["company", "name"], name="brand_name_per_company"),
            # The target of composite references, so that a link across companies cannot be stored.
            models.UniqueConstraint(fields=["company", "id"], name="brand_in_company"),
        ]

    def __str__(self) -> str:
        return self.name


class User(AbstractUser):
    """A person. ``token_version`` is in every access token: raising it revokes them all."""

    token_version = models.PositiveIntegerField(default=1, editable=False)
    language = models.CharField(
        max_length=8,
        choices=settings.LANGUAGES,
        blank=True,
        default="",
        db_default="",
        help_text=_("Without one: the company's."),
    )

    audited = (
        "username",
        "email",
        "first_name",
        "last_name",
        "is_active",
        "is_staff",
        "is_superuser",
        "language",
        "groups",
        "user_permissions",
        "token_version",
    )

    def set_password(self, raw_password: str | None) -> None:
        """A new password ends every session that the old one opened."""
        super().set_password(raw_password)
        if self.pk is not None:
            self.token_version += 1

    def set_unusable_password(self) -> None:
        """No password any more ends every session too."""
        super().set_unusable_password()
        if self.pk is not None:
            self.token_version += 1

    def save(self, *args: Any, **kwargs: Any) -> None:
        fields = kwargs.get("update_fields")
        if fields is not None and "password" in fields:
            kwargs["update_fields"] = {*fields, "token_version"}
        super().save(*args, **kwargs)


class Membership(CompanyOwned):
    """A person's role in a company and the brands they may enter (none named: all of them)."""

    company = models.ForeignKey(Company, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.MEMBER)
    brands = models.ManyToManyField(Brand, blank=True, related_name="memberships")
    default_brand = models.ForeignKey(
        Brand, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    #: A member who is switched off stays listed, with their keys and sign-ins of no use here.
    is_active = models.BooleanField(default=True, db_default=True)
    created_at = models.DateTimeField(default=clock.now, editable=False)

    audited = ("user", "role", "brands", "default_brand", "is_active")

    class Meta(CompanyOwned.Meta):
        constraints = [
            models.UniqueConstraint(fields=["company", "user"], name="one_membership_per_company")
        ]

    def __str__(self) -> str:
        words = {"user": self.user, "company": self.company, "role": self.get_role_display()}
        return gettext("%(user)s in %(company)s (%(role)s)") % words

    def clean(self) -> None:
        if self.default_brand and self.default_brand.company_id != self.company_id:
            raise ValidationError({"default_brand": _("This brand is another company's.")})


class Invitation(CompanyOwned):
    """A place in a company for whoever holds its token, which is shown once; good for one person."""

    company = models.ForeignKey(Company, on_delete=models.CASCADE, related_name="invitations")
    #: Who is meant, for those who read the list; nothing is sent there.
    email = models.EmailField(blank=True)
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.MEMBER)
    brands = models.ManyToManyField(Brand, blank=True, related_name="+")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_by = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(default=clock.now, editable=False)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    accepted_at = models.DateTimeField(null=True, blank=True)
    accepted_by = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    audited = ("email", "role", "brands", "created_by", "expires_at", "revoked_at", "accepted_by")

    class Meta(CompanyOwned.Meta):
        ordering = ("-created_at",)

    def __str__(self) -> str:
        words = {"role": self.get_role_display(), "company": self.company, "email": self.email or "-"}
        return gettext("%(role)s in %(company)s for %(email)s") % words


class ApiKey(CompanyOwned):
    """A key for scripts and SDKs, shown once. ``digest`` is the SHA-256 of 240 random bits."""

    company = models.ForeignKey(Company, on_delete=models.CASCADE, related_name="api_keys")
    brand = models.ForeignKey(Brand, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    created_by = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=80)
    public_id = models.CharField(max_length=16, unique=True, editable=False)
    digest = models.CharField(max_length=64, editable=False)
    scopes = models.JSONField(default=list)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(default=clock.now, editable=False)

    audited = ("name", "public_id", "scopes", "brand", "created_by", "expires_at", "revoked_at")

    class Meta(CompanyOwned.Meta):
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return f"{self.name} (mh_{self.public_id}_…)"

    def clean(self) -> None:
        unknown = sorted(set(self.scopes or []) - set(Scope.values))
        if unknown:
            raise ValidationError({"scopes": _("Unknown scopes: %s") % ", ".join(unknown)})
        if self.brand and self.brand.company_id != self.company_id:
            raise ValidationError({"brand": _("This brand is another company's.")})


class SignIn(models.Model):
    """One sign-in and the family of tokens that came of it; revoked as a whole."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sign_ins")
    created_at = models.DateTimeField(default=clock.now)
    revoked_at = models.DateTimeField(null=True, blank=True)

    audited = ("user", "revoked_at")

    def __str__(self) -> str:
        words = {"user": self.user, "moment": f"{self.created_at:%Y-%m-%d %H:%M}"}
        return gettext("%(user)s at %(moment)s") % words


class RefreshToken(models.Model):
    """A refresh token that was given out: good for one use. Only its digest is stored."""

    sign_in = models.ForeignKey(SignIn, on_delete=models.CASCADE, related_name="refresh_tokens")
    digest = models.CharField(max_length=64, unique=True)
    expires_at = models.DateTimeField(db_index=True)
    used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        words = {"number": self.pk, "sign_in": self.sign_in_id}
        return gettext("refresh token %(number)s of %(sign_in)s") % words


class Throttle(models.Model):
    """Tries of somebody (a digest of whom), as GCRA counts them: when none of them counts any more."""

    name = models.CharField(max_length=64, primary_key=True)
    empty_at_ms = models.BigIntegerField(db_index=True)

    def __str__(self) -> str:
        return self.name


class IdempotencyKey(CompanyOwned):
    """A POST that named its Idempotency-Key: replayed with the same body, refused with another.

    Written in the transaction that does the work. The answer is that of the job ``job_ref``, or
    ``status`` and ``answer``, sealed (megahub/tenancy/idempotency.py). Kept for 24 hours.
    """

    route = models.CharField(max_length=80)
    key = models.CharField(max_length=255)
    body_digest = models.CharField(max_length=64)
    job_ref = models.CharField(max_length=40, blank=True)
    status = models.PositiveSmallIntegerField(null=True, editable=False)
    answer = models.BinaryField(null=True)
    created_at = models.DateTimeField(default=clock.now, db_index=True)

    class Meta(CompanyOwned.Meta):
        constraints = [
            models.UniqueConstraint(fields=["company", "route", "key"], name="idempotency_key_once")
        ]

    def __str__(self) -> str:
        return f"{self.route} {self.key}"
