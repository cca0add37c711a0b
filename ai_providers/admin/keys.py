"""Companies' keys at the providers: they go in and never come out."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import method_decorator
from django.utils.formats import date_format
from django.utils.text import format_lazy
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_post_parameters
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldBooleanWidget

from ai_providers import selectors, services
from ai_providers.admin.providers import PROVIDERS
from ai_providers.models import AICredentials, SealedKey
from ai_providers.services import connections
from megahub.kernel import loop, trail
from megahub.kernel.admin import HubAdmin, Kept, ReadOnlyAdmin, ReadOnlyInline, after_dialog, page
from megahub.kernel.errors import ValidationFailed
from megahub.kernel.text import said
from megahub.tenancy.admin.companies import CompanyAdmin


def _key_field(provider: str) -> forms.CharField:
    widget = UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"})
    label = format_lazy(_("{} API key"), PROVIDERS[provider])
    return forms.CharField(label=label, required=False, max_length=400, widget=widget)


def _remove_field() -> forms.BooleanField:
    return forms.BooleanField(label=_("Remove the stored key"), required=False, widget=UnfoldBooleanWidget)


class CredentialsForm(forms.ModelForm):
    """Keys go in and never come out: an empty field leaves the stored key as it is."""

    openai_api_key = _key_field("openai")
    openai_remove = _remove_field()
    infomaniak_api_key = _key_field("infomaniak")
    infomaniak_remove = _remove_field()
    anthropic_api_key = _key_field("anthropic")
    anthropic_remove = _remove_field()
    google_api_key = _key_field("google")
    google_remove = _remove_field()

    class Meta:
        model = AICredentials
        fields = ("company", "use_global_fallback", "openai_organization", "infomaniak_product_id")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        live = {key.provider: key for key in self.instance.keys.all()} if self.instance.pk else {}
        for provider in PROVIDERS:
            key = live.get(provider)
            self.fields[f"{provider}_api_key"].help_text = key_state(key) if key else _("No key is stored.")
            if key is None:
                del self.fields[f"{provider}_remove"]

    @property
    def keys(self) -> dict[str, str | None]:
        """What ``services.store_keys`` is to do: by provider, a key, None to remove, "" for nothing."""
        given: dict[str, str | None] = {}
        for provider in PROVIDERS:
            removed = self.cleaned_data.get(f"{provider}_remove")
            given[provider] = None if removed else self.cleaned_data[f"{provider}_api_key"]
        return given

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        for provider in PROVIDERS:
            field = f"{provider}_api_key"
            key = cleaned.get(field)
            if key and cleaned.get(f"{provider}_remove"):
                self.add_error(field, _("Store a new key or remove the old one, not both."))
            elif key:
                self._check(provider, key)
        return cleaned

    def _check(self, provider: str, key: str) -> None:
        try:
            services.check_key(provider, key)
        except ValidationFailed as error:
            for field, texts in (error.field_errors or {}).items():
                self.add_error(field, [said(text, gettext) for text in texts])


def key_state(key: SealedKey) -> str:
    """A stored key in words: its last four characters, since when, whether it was refused."""
    words = {"four": key.last_four, "since": date_format(key.created_at, "SHORT_DATETIME_FORMAT")}
    text = gettext("Stored: …%(four)s, since %(since)s.") % words
    if key.refused_at is not None:
        when = date_format(key.refused_at, "SHORT_DATETIME_FORMAT")
        text += " " + gettext("Refused by the provider on %s.") % when
    return text


class SealedKeyInline(ReadOnlyInline):
    """A company's keys of all times."""

    model = SealedKey
    fields = (
        "provider last_four created_at created_by validated_at refused_at retired_at retired_by".split()
    )
    ordering = ("-pk",)


@admin.register(AICredentials)
@method_decorator(sensitive_post_parameters(), name="changeform_view")
class AICredentialsAdmin(Kept, HubAdmin):
    """A company's keys at the providers. What is stored is told by its last four characters."""

    names = (_("provider keys of a company"), _("provider keys"))
    form = CredentialsForm
    list_display = ("company", "stored", "use_global_fallback", "updated_at")
    list_filter = (("company", AutocompleteSelectFilter), "use_global_fallback")
    list_select_related = ("company",)
    search_fields = ("company__name",)
    autocomplete_fields = ("company",)
    inlines = (SealedKeyInline,)
    actions_detail = ("test_keys",)

    @action(
        description=_("Test the keys"),
        icon="network_check",
        permissions=("act",),
        dialog={
            "title": _("Test the keys?"),
            "description": _("Each provider is asked for one word, with the key that jobs would use."),
            "form_submit_text": _("Test"),
        },
    )
    def test_keys(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        """Each provider whose key is stored; how it went is told by messages, and kept in the trail."""
        row = self.get_queryset(request).get(pk=object_id)
        for provider in sorted({key.provider for key in row.keys.all()}):
            probe = loop.run(connections.say_a_word(row.company_id, provider))
            trail.note(request, "credentials.test", row, provider=provider, outcome=probe.status)
            name = PROVIDERS.get(provider, provider)
            if probe.error is None:
                words = {"name": name, "ms": probe.milliseconds}
                messages.success(request, gettext("%(name)s works (%(ms)d ms).") % words)
            else:
                messages.error(request, f"{name}: {probe.error.text(gettext(probe.error.message))}")
        return after_dialog(page(AICredentials, object_id))

    def get_queryset(self, request: HttpRequest) -> QuerySet[AICredentials]:
        rows: QuerySet[AICredentials] = super().get_queryset(request)
        return rows.prefetch_related(Prefetch("keys", SealedKey.objects.unscoped().filter(retired_at=None)))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return () if obj is None else ("company",)

    def get_inlines(self, request: HttpRequest, obj: Any) -> tuple[type[ReadOnlyInline], ...]:
        return () if obj is None else self.inlines

    def get_fieldsets(self, request: HttpRequest, obj: AICredentials | None = None) -> list[Any]:
        extra = {"openai": ["openai_organization"], "infomaniak": ["infomaniak_product_id"]}
        live = {key.provider for key in obj.keys.all()} if obj is not None else set()
        sets: list[Any] = [(None, {"fields": ["company", "use_global_fallback"]})]
        for provider, name in PROVIDERS.items():
            own = [f"{provider}_api_key", *([f"{provider}_remove"] if provider in live else [])]
            sets.append((name, {"fields": own + extra.get(provider, [])}))
        return sets

    def save_model(self, request: HttpRequest, obj: AICredentials, form: Any, change: bool) -> None:
        row = services.store_keys(
            obj.company_id,
            form.keys,
            by=request.user.pk,
            use_global_fallback=obj.use_global_fallback,
            openai_organization=obj.openai_organization,
            infomaniak_product_id=obj.infomaniak_product_id,
        )
        obj.pk = row.pk

    def told(self, obj: AICredentials) -> dict[str, Any] | None:
        return selectors.facts_of(obj.company_id)

    @display(description=_("stored"))
    def stored(self, row: AICredentials) -> str:
        return ", ".join(
            f"{PROVIDERS.get(key.provider, key.provider)} …{key.last_four}"
            + (f" ({gettext('refused')})" if key.refused_at else "")
            for key in row.keys.all()
        )


class StoredKeyInline(SealedKeyInline):
    """On a company's page: the keys that its jobs use now."""

    verbose_name_plural = _("provider keys")
    tab = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[SealedKey]:
        rows: QuerySet[SealedKey] = super().get_queryset(request)
        return rows.filter(retired_at=None)


CompanyAdmin.inlines = (*CompanyAdmin.inlines, StoredKeyInline)


@admin.register(SealedKey)
class SealedKeyAdmin(ReadOnlyAdmin):
    """The history of stored keys; never their sealed bytes."""

    names = (_("stored key"), _("history of keys"))
    list_display = ("company", *SealedKeyInline.fields)
    list_filter = (
        ("company", AutocompleteSelectFilter),
        "provider",
        ("retired_at", admin.EmptyFieldListFilter),
        ("refused_at", admin.EmptyFieldListFilter),
    )
    list_select_related = ("company", "created_by", "retired_by")
    ordering = ("-pk",)
    fields = ("company", *SealedKeyInline.fields)
