"""Companies, brands, people, API keys, sign-ins: the pages of who may call the hub."""

from __future__ import annotations

from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as BaseGroupAdmin
from django.contrib.auth.admin import UserAdmin as BaseUserAdmin
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.admin import TabularInline
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import action, display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminSelect2Widget

from megahub.kernel import cache, clock
from megahub.kernel.admin import (
    GrowingAdmin,
    HubAdmin,
    Kept,
    ReadOnlyAdmin,
    ReadOnlyInline,
    after_dialog,
    link,
    page,
    pages,
)
from megahub.tenancy import tokens
from megahub.tenancy.models import (
    ApiKey,
    Brand,
    Company,
    CompanyKey,
    IdempotencyKey,
    Membership,
    RefreshToken,
    SignIn,
    User,
)
from megahub.tenancy.roles import SCOPES_OF_ROLE, Scope

OF_COMPANY = ("company", AutocompleteSelectFilter)
#: A company's rows in the apps above, which are known here by the names of their pages only.
LISTS = {
    "ai_usage_budget": _("Budgets"),
    "ai_providers_aicredentials": _("Provider keys"),
    "ai_core_aijob": _("Jobs"),
    "ai_usage_aijobusage": _("Usage"),
}


# Companies -------------------------------------------------------------------------------------


class BrandInline(TabularInline):
    """A company's brands, changed in place."""

    model = Brand
    fields = ("name", "is_active", "created_at")
    readonly_fields = ("created_at",)
    extra = 0
    can_delete = False
    tab = True


class MembershipInline(ReadOnlyInline):
    """Who belongs to a company; a role and its brands are changed on the membership's own page."""

    model = Membership
    fields = ("user", "own_page", "default_brand", "created_at")
    tab = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[Membership]:
        rows: QuerySet[Membership] = super().get_queryset(request)
        return rows.select_related("user", "company", "default_brand")

    @display(description=_("role"))
    def own_page(self, membership: Membership) -> Any:
        return link(page(Membership, membership.pk), membership.get_role_display())


class ApiKeyInline(ReadOnlyInline):
    """A company's API keys."""

    model = ApiKey
    fields = ("own_page", "created_by", "brand", "last_used_at", "expires_at", "revoked_at")
    tab = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiKey]:
        rows: QuerySet[ApiKey] = super().get_queryset(request)
        return rows.select_related("created_by", "brand")

    @display(description=_("name"))
    def own_page(self, key: ApiKey) -> Any:
        return link(page(ApiKey, key.pk), key.name)


@admin.register(Company)
class CompanyAdmin(Kept, HubAdmin):
    """Tenants: switched off, never deleted."""

    names = (_("company"), _("companies"))
    list_display = "name slug timezone brand_count people_count use_sandbox is_active created_at".split()
    list_filter = ("is_active", "use_sandbox")
    search_fields = ("name", "slug")
    readonly_fields = ("created_at", "rows")
    prepopulated_fields = {"slug": ("name",)}
    inlines = (BrandInline, MembershipInline, ApiKeyInline)
    actions_detail = ("add_person", "add_api_key")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Company]:
        rows: QuerySet[Company] = super().get_queryset(request)
        return rows.annotate(
            brand_count=Count("brands", distinct=True),
            people_count=Count("memberships", distinct=True),
        )

    def get_fields(self, request: HttpRequest, obj: Company | None = None) -> tuple[str, ...]:
        asked = ("name", "slug", "timezone", "use_sandbox", "is_active")
        return asked if obj is None else (*asked, "created_at", "rows")

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "timezone":
            zones = [(name, name) for name in sorted(available_timezones())]
            kwargs["widget"] = UnfoldAdminSelect2Widget(choices=zones)
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    @display(description=_("brands"), ordering="brand_count")
    def brand_count(self, company: Any) -> int:
        return int(company.brand_count)

    @display(description=_("people"), ordering="people_count")
    def people_count(self, company: Any) -> int:
        return int(company.people_count)

    @action(description=_("Add a person"), icon="person_add", permissions=("act",))
    def add_person(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return HttpResponseRedirect(f"{reverse('admin:tenancy_membership_add')}?company={object_id}")

    @action(description=_("Make an API key"), icon="key", permissions=("act",))
    def add_api_key(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return HttpResponseRedirect(f"{reverse('admin:tenancy_apikey_add')}?company={object_id}")

    @display(description=_("its rows"))
    def rows(self, company: Company) -> Any:
        lists = ((pages(name, company__id__exact=company.pk), label) for name, label in LISTS.items())
        return format_html_join(" · ", '<a href="{}" class="text-link">{}</a>', lists)


@admin.register(Brand)
class BrandAdmin(Kept, HubAdmin):
    """Brands: switched off, never deleted."""

    names = (_("brand"), _("brands"))
    list_display = ("name", "company", "is_active", "created_at")
    list_filter = (OF_COMPANY, "is_active")
    list_select_related = ("company",)
    search_fields = ("name", "company__name")
    fields = ("company", "name", "is_active", "created_at")
    autocomplete_fields = ("company",)

    def get_readonly_fields(self, request: HttpRequest, obj: Brand | None = None) -> tuple[str, ...]:
        return ("created_at",) if obj is None else ("company", "created_at")


class MembershipForm(forms.ModelForm):
    """The brands that a person may enter must be the company's own."""

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        company_id = self.instance.company_id or getattr(cleaned.get("company"), "pk", None)
        if any(brand.company_id != company_id for brand in cleaned.get("brands", ())):
            self.add_error("brands", _("This brand is another company's."))
        return cleaned


@admin.register(Membership)
class MembershipAdmin(HubAdmin):
    """Who belongs to which company, as what, and which brands they may enter."""

    names = (_("membership"), _("memberships"))
    form = MembershipForm
    list_display = ("user", "company", "role", "default_brand", "created_at")
    list_filter = (OF_COMPANY, "role")
    list_select_related = ("user", "company", "default_brand")
    search_fields = ("user__username", "user__email", "company__name")
    fields = ("company", "user", "role", "brands", "default_brand", "created_at")
    autocomplete_fields = ("company", "user", "brands", "default_brand")

    def get_readonly_fields(self, request: HttpRequest, obj: Membership | None = None) -> tuple[str, ...]:
        return ("created_at",) if obj is None else ("company", "user", "created_at")


# People ----------------------------------------------------------------------------------------


class CompaniesInline(MembershipInline):
    """The companies that a person belongs to."""

    fields = ("company", "own_page", "default_brand", "created_at")


@admin.register(User)
class UserAdmin(Kept, BaseUserAdmin, HubAdmin):  # type: ignore[misc]
    """People: disabled, never deleted. Disabling and a new password end every session."""

    names = (_("user"), _("users"))
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "email", "companies", "is_active", "is_staff", "last_login")
    list_filter = ("is_active", "is_staff", "is_superuser")
    inlines = (CompaniesInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        rows: QuerySet[User] = super().get_queryset(request)
        return rows.prefetch_related("memberships__company")

    @display(description=_("companies"))
    def companies(self, user: User) -> str:
        return ", ".join(membership.company.name for membership in user.memberships.all())

    def get_inlines(self, request: HttpRequest, obj: User | None) -> tuple[type[ReadOnlyInline], ...]:
        return () if obj is None else self.inlines

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        if change and "is_active" in form.changed_data and not obj.is_active:
            obj.token_version += 1
            SignIn.objects.filter(user=obj, revoked_at=None).update(revoked_at=clock.now())
        super().save_model(request, obj, form, change)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> Any:
        answer = super().user_change_password(request, id, form_url)
        cache.forget_everything()
        return answer


admin.site.unregister(Group)


@admin.register(Group)
class GroupAdmin(BaseGroupAdmin, HubAdmin):  # type: ignore[misc]
    """Groups of administrators' permissions."""


# What opens the doors --------------------------------------------------------------------------


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
        self.model._default_manager.filter(pk__in=[row.pk for row in live], revoked_at=None).update(
            revoked_at=clock.now()
        )
        transaction.on_commit(cache.forget_everything)
        for row in live:
            self.log_change(request, row, "Revoked.")
        self.message_user(request, ngettext("%d revoked.", "%d revoked.", len(live)) % len(live))

    @action(
        description=_("Revoke"),
        icon="block",
        permissions=("revoke",),
        dialog={"title": _("Revoke?"), "description": _("It ends at once and cannot be given back.")},
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
    list_filter = (OF_COMPANY, ("revoked_at", admin.EmptyFieldListFilter))
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
            text = _("The key, shown this once: {}")
            self.message_user(request, format_html(str(text), format_html("<code>{}</code>", key)))
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
        return "active", _("active")


class RefreshTokenInline(ReadOnlyInline):
    """When the tokens of a sign-in were used; never the tokens."""

    model = RefreshToken
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
    list_filter = (OF_COMPANY, "master_key_id")
    list_select_related = ("company",)
    fields = ("company", "master_key_id", "created_at", "rewrapped_at")


@admin.register(IdempotencyKey)
class IdempotencyKeyAdmin(GrowingAdmin):
    """The Idempotency-Keys of the last 24 hours."""

    names = (_("idempotency key"), _("idempotency keys"))
    list_display = ("key", "route", "company", "job_ref", "created_at")
    list_filter = (OF_COMPANY,)
    list_select_related = ("company",)
    search_fields = ("key", "job_ref")
    fields = ("company", "route", "key", "body_digest", "job_ref", "created_at")
