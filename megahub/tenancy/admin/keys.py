"""API keys, sign-ins, data keys, idempotency keys: what opens doors, never shown."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.translation import gettext, ngettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from megahub.kernel import cache, clock
from megahub.kernel.admin import (
    GrowingAdmin,
    HubAdmin,
    Kept,
    ReadOnlyAdmin,
    ReadOnlyInline,
    after_dialog,
    page,
)
from megahub.kernel.reasons import ReasonedDialog
from megahub.tenancy import tokens
from megahub.tenancy.models import (
    ApiKey,
    Company,
    CompanyKey,
    IdempotencyKey,
    Membership,
    RefreshToken,
    SignIn,
    User,
)
from megahub.tenancy.roles import SCOPES_OF_ROLE, Scope


class Revocable:
    """The action "revoke", for rows with ``revoked_at``."""

    actions = ("revoke",)
    actions_detail = ("revoke_this",)

    def has_revoke_permission(self: Any, request: HttpRequest, object_id: Any = None) -> bool:
        """Whether to offer it: on a list to whoever may act, on a row's page while the row is live."""
        rows = self.model._default_manager.filter(pk=object_id, revoked_at=None)
        return self.has_act_permission(request) and (object_id is None or rows.exists())

    @action(description=_("Revoke"), permissions=("revoke",))
    def revoke(self: Any, request: HttpRequest, rows: QuerySet[Any]) -> None:
        live = list(rows.filter(revoked_at=None))
        with transaction.atomic():
            self.model._default_manager.filter(pk__in=[row.pk for row in live], revoked_at=None).update(
                revoked_at=clock.now()
            )
            for row in live:
                self.log_change(request, row, "Revoked.")
            transaction.on_commit(cache.forget_everything)
        self.message_user(request, ngettext("%d revoked.", "%d revoked.", len(live)) % len(live))

    @action(
        description=_("Revoke"),
        icon="block",
        permissions=("revoke",),
        dialog={
            "form_class": ReasonedDialog,
            "title": _("Revoke?"),
            "description": _("It ends at once and cannot be given back."),
            "form_submit_text": _("Revoke"),
        },
    )
    def revoke_this(self: Any, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        self.revoke(request, self.get_queryset(request).filter(pk=object_id))
        return after_dialog(page(self.model, object_id))


class ApiKeyForm(forms.ModelForm):
    """A key's scopes as boxes; they may not go beyond what its owner's role allows."""

    class Meta:
        help_texts = {"created_by": _("The key acts for this person, within what their role allows.")}

    scopes = forms.MultipleChoiceField(
        label=_("Scopes"), choices=Scope.choices, widget=UnfoldAdminCheckboxSelectMultipleWidget
    )

    def clean_scopes(self) -> list[str]:
        return sorted(self.cleaned_data["scopes"])

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        company = cleaned.get("company") or (self.instance.pk and self.instance.company)
        owner = cleaned.get("created_by") or (self.instance.pk and self.instance.created_by)
        if company and owner:
            self._check_owner(company, owner, cleaned.get("scopes", []))
        return cleaned

    def _check_owner(self, company: Company, owner: User, scopes: list[str]) -> None:
        membership = Membership.objects.of(company.pk).filter(user=owner).first()
        if membership is None:
            self.add_error(None, _("%(user)s is no member of %(company)s.") % _names(owner, company))
            return
        beyond = sorted(set(scopes) - SCOPES_OF_ROLE[membership.role])
        if beyond:
            self.add_error("scopes", _("Beyond the owner's role: %s.") % ", ".join(beyond))


def _names(user: User, company: Company) -> dict[str, str]:
    return {"user": user.username, "company": company.name}


@admin.register(ApiKey)
class ApiKeyAdmin(Kept, Revocable, HubAdmin):
    """API keys. The key itself is in one message after it was made, and nowhere else, ever."""

    names = (_("API key"), _("API keys"))
    form = ApiKeyForm
    list_display = "name shown company brand created_by state last_used_at expires_at".split()
    list_filter = (("company", AutocompleteSelectFilter), ("revoked_at", admin.EmptyFieldListFilter))
    list_select_related = ("company", "brand", "created_by")
    search_fields = ("name", "public_id", "created_by__username", "company__name")
    autocomplete_fields = ("company", "brand", "created_by")
    made = ("company", "created_by", "brand")
    kept = ("shown", "created_at", "last_used_at", "revoked_at")

    def get_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> tuple[str, ...]:
        asked = (*self.made, "name", "scopes", "expires_at")
        return asked if obj is None else (*asked, *self.kept)

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> tuple[str, ...]:
        return () if obj is None else (*self.made, *self.kept)

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        if not change:
            key, obj.public_id, obj.digest = tokens.new_api_key()
            text = format_html(gettext("The key, shown this once: {}"), format_html("<code>{}</code>", key))
            self.message_user(request, text, messages.SUCCESS)
        super().save_model(request, obj, form, change)

    @display(description=_("key"))
    def shown(self, key: ApiKey) -> str:
        return f"mh_{key.public_id}_…"

    @display(
        description=_("state"),
        label={"active": "success", "expired": "warning", "revoked": "danger"},
    )
    def state(self, key: ApiKey) -> tuple[str, Any]:
        if key.revoked_at is not None:
            return "revoked", _("revoked")
        if key.expires_at is not None and key.expires_at <= clock.now():
            return "expired", _("expired")
        return "active", pgettext_lazy("key", "active")


class RefreshTokenInline(ReadOnlyInline):
    """When the tokens of a sign-in were used; never the tokens."""

    model = RefreshToken
    verbose_name_plural = _("refresh tokens")
    fields = ("expires_at", "used_at")
    ordering = ("-pk",)
    per_page = 20


@admin.register(SignIn)
class SignInAdmin(Revocable, ReadOnlyAdmin):
    """Who is signed in at the API."""

    names = (_("sign-in"), _("sign-ins"))
    list_display = ("user", "created_at", "revoked_at")
    list_filter = (("user", AutocompleteSelectFilter), ("revoked_at", admin.EmptyFieldListFilter))
    list_select_related = ("user",)
    search_fields = ("user__username", "user__email")
    ordering = ("-created_at",)
    fields = ("user", "created_at", "revoked_at")
    inlines = (RefreshTokenInline,)


@admin.register(CompanyKey)
class CompanyKeyAdmin(ReadOnlyAdmin):
    """Under which master key a company's data key is wrapped; never the key."""

    names = (_("company data key"), _("company data keys"))
    list_display = ("company", "master_key_id", "created_at", "rewrapped_at")
    list_filter = (("company", AutocompleteSelectFilter), "master_key_id")
    list_select_related = ("company",)
    fields = ("company", "master_key_id", "created_at", "rewrapped_at")


@admin.register(IdempotencyKey)
class IdempotencyKeyAdmin(GrowingAdmin):
    """The Idempotency-Keys of the last 24 hours."""

    names = (_("idempotency key"), _("idempotency keys"))
    list_display = ("key", "route", "company", "job_ref", "created_at")
    list_filter = (("company", AutocompleteSelectFilter),)
    list_select_related = ("company",)
    search_fields = ("key", "job_ref")
    fields = ("company", "route", "key", "body_digest", "job_ref", "created_at")
