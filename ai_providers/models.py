"""Providers, an administrator's overrides of models, sealed credentials, exchange rates."""

from __future__ import annotations

import uuid
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ai_providers.catalogue import loading
from megahub.kernel import clock, vault
from megahub.kernel.errors import NoApiKey
from megahub.tenancy import services as tenancy
from megahub.tenancy.scoping import CompanyOwned


class AIProvider(models.Model):
    """A provider that the hub speaks to. Only an administrator sets ``base_url`` (empty: the usual)."""

    name = models.CharField(max_length=40, unique=True)
    display_name = models.CharField(max_length=80)
    base_url = models.URLField(blank=True, help_text=_("Leave empty for the provider's own address."))
    supports_chat = models.BooleanField(default=True)
    supports_assistants = models.BooleanField(default=False)
    supports_files = models.BooleanField(default=False)
    supports_vision = models.BooleanField(default=False)
    default_model = models.CharField(max_length=120, blank=True)
    rate_limit_rpm = models.PositiveIntegerField(null=True, blank=True)
    is_active = models.BooleanField(default=True)

    audited = (
        "name",
        "display_name",
        "base_url",
        "supports_chat",
        "supports_assistants",
        "supports_files",
        "supports_vision",
        "default_model",
        "rate_limit_rpm",
        "is_active",
    )

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.display_name


class AIModel(models.Model):
    """What an administrator says of a model beyond the catalogue: block it, or price it.

    Prices are per million tokens in ``currency``, from ``price_since`` on; a row without prices
    leaves the catalogue's in force. The fields hold whole units as people write them ("2.50").
    """

    model_id = models.CharField(max_length=120, unique=True)
    is_blocked = models.BooleanField(default=False)
    price_since = models.DateField(null=True, blank=True)
    currency = models.CharField(max_length=3, default="USD")
    input_price = models.DecimalField(max_digits=12, decimal_places=6, null=True, blank=True)
    cache_read_price = models.DecimalField(max_digits=12, decimal_places=6, null=True, blank=True)
    cache_write_price = models.DecimalField(max_digits=12, decimal_places=6, null=True, blank=True)
    output_price = models.DecimalField(max_digits=12, decimal_places=6, null=True, blank=True)
    note = models.TextField(blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    audited = (
        "model_id",
        "is_blocked",
        "price_since",
        "currency",
        "input_price",
        "cache_read_price",
        "cache_write_price",
        "output_price",
        "note",
    )

    class Meta:
        ordering = ("model_id",)
        verbose_name = _("model override")

    def __str__(self) -> str:
        return self.model_id

    def clean(self) -> None:
        if self.model_id not in loading.models():
            raise ValidationError({"model_id": _("This model is not in the catalogue.")})
        prices = (
            self.input_price,
            self.output_price,
            self.cache_read_price,
            self.cache_write_price,
        )
        if any(price is not None for price in prices) and self.price_since is None:
            raise ValidationError({"price_since": _("From which day on does the price hold?")})
        if any(price is not None and price < 0 for price in prices):
            raise ValidationError(_("A price cannot be negative."))


class AICredentials(CompanyOwned):
    """One row per company. The keys themselves are ``SealedKey`` rows, never readable again."""

    company = models.OneToOneField("tenancy.Company", on_delete=models.CASCADE, related_name="credentials")
    use_global_fallback = models.BooleanField(
        default=False, help_text=_("Use the hub's own key where the company has none.")
    )
    openai_organization = models.CharField(max_length=120, blank=True)
    infomaniak_product_id = models.CharField(max_length=40, blank=True)
    created_at = models.DateTimeField(default=clock.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)
    # Set when they were taken away as a whole: the row stays, since the history of keys hangs on it.
    deleted_at = models.DateTimeField(null=True, editable=False)

    audited = ("use_global_fallback", "openai_organization", "infomaniak_product_id", "deleted_at")

    class Meta(CompanyOwned.Meta):
        verbose_name_plural = "AI credentials"

    def __str__(self) -> str:
        return gettext("credentials of %s") % self.company


class SealedKey(CompanyOwned):
    """A provider's API key, encrypted under the company's data key; replaced ones stay, retired."""

    credentials = models.ForeignKey(AICredentials, on_delete=models.CASCADE, related_name="keys")
    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    provider = models.CharField(max_length=40)
    sealed = models.BinaryField()
    last_four = models.CharField(max_length=4)
    created_at = models.DateTimeField(default=clock.now, editable=False)
    created_by = models.ForeignKey(
        "tenancy.User", null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    retired_at = models.DateTimeField(null=True, blank=True)
    retired_by = models.ForeignKey(
        "tenancy.User", null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    refused_at = models.DateTimeField(null=True, blank=True)
    #: When the provider last took it in a test.
    validated_at = models.DateTimeField(null=True, blank=True)

    audited = ("provider", "last_four", "created_by", "retired_at", "retired_by")

    class Meta(CompanyOwned.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["credentials", "provider"],
                condition=models.Q(retired_at=None),
                name="one_live_key_per_provider",
            )
        ]

    def __str__(self) -> str:
        words = {"provider": self.provider, "four": self.last_four}
        return gettext("%(provider)s key …%(four)s") % words

    @classmethod
    def seal(
        cls,
        credentials: AICredentials,
        provider: str,
        key: str,
        base_url: str,
        by: int | None = None,
        uid: uuid.UUID | None = None,
    ) -> SealedKey:
        """A new row (unsaved) for ``key``, bound to its company, its row and the address it is for."""
        row = cls(
            uid=uid or uuid.uuid4(),
            company_id=credentials.company_id,
            credentials=credentials,
            provider=provider,
            last_four=key[-4:],
            created_by_id=by,
        )
        data_key = tenancy.data_key(credentials.company_id)
        row.sealed = vault.seal(data_key, key, row.context(base_url))
        return row

    def open(self, base_url: str) -> str:
        """The key. Raises NoApiKey when it was sealed for another company, row or address."""
        try:
            data_key = tenancy.data_key(self.company_id)
            return vault.unseal(data_key, bytes(self.sealed), self.context(base_url))
        except vault.Sealed as error:
            message = "The stored {provider} key cannot be opened for this address; store it again."
            raise NoApiKey(message, provider=self.provider) from error

    def context(self, base_url: str) -> str:
        """What the encryption is bound to."""
        return f"ai_providers_sealedkey|{self.company_id}|{self.uid}|{self.provider}|{base_url}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self.pk is not None and (kwargs.get("update_fields") is None):
            raise TypeError("a sealed key is written once; only its dates may be updated")
        super().save(*args, **kwargs)


class ExchangeRate(models.Model):
    """How many USD one unit of a currency was worth on a day; the newest one by then is used."""

    currency = models.CharField(max_length=3)
    day = models.DateField()
    usd = models.DecimalField(max_digits=18, decimal_places=9)
    source = models.CharField(max_length=200)

    audited = ("currency", "day", "usd", "source")

    class Meta:
        ordering = ("currency", "-day")
        constraints = [
            models.UniqueConstraint(fields=["currency", "day"], name="one_rate_per_day"),
            models.CheckConstraint(condition=models.Q(usd__gt=0), name="rate_is_positive"),
        ]

    def __str__(self) -> str:
        return f"1 {self.currency} = {self.usd.normalize()} USD ({self.day})"
