"""Companies and their brands."""

from __future__ import annotations

from typing import Any
from zoneinfo import available_timezones

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.translation import gettext_lazy as _
from unfold.admin import TabularInline
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminSelect2Widget

from megahub.kernel.admin import HubAdmin, Kept, ReadOnlyInline, link, page, pages
from megahub.tenancy.models import ApiKey, Brand, Company, Membership

#: A company's rows in the apps above, which are known here by the names of their pages only.
LISTS = {
    "ai_usage_budget": _("Budgets"),
    "ai_providers_aicredentials": _("Provider keys"),
    "ai_core_aijob": _("Jobs"),
    "ai_usage_aijobusage": _("Usage"),
}


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
    ordering = ("name",)  # the model's own is lost when rows are counted
    readonly_fields = ("created_at", "rows")
    prepopulated_fields = {"slug": ("name",)}
    #: Apps above add theirs.
    inlines: tuple[type[TabularInline], ...] = (BrandInline, MembershipInline, ApiKeyInline)
    actions_detail = ("add_person", "add_api_key")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Company]:
        rows: QuerySet[Company] = super().get_queryset(request)
        return rows.annotate(
            brand_count=Count("brands", distinct=True),
            people_count=Count("memberships", distinct=True),
        )

    def get_fields(self, request: HttpRequest, obj: Company | None = None) -> tuple[str, ...]:
        asked = ("name", "slug", "timezone", "language", "use_sandbox", "batch_engine", "is_active")
        return asked if obj is None else (*asked, "created_at", "rows")

    def get_inlines(self, request: HttpRequest, obj: Any) -> tuple[type[TabularInline], ...]:
        """A company that is being made has brands first of all, and nothing else yet."""
        return (BrandInline,) if obj is None else self.inlines

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
    list_filter = (("company", AutocompleteSelectFilter), "is_active")
    list_select_related = ("company",)
    search_fields = ("name", "company__name")
    fields = ("company", "name", "is_active", "created_at")
    autocomplete_fields = ("company",)

    def get_readonly_fields(self, request: HttpRequest, obj: Brand | None = None) -> tuple[str, ...]:
        return ("created_at",) if obj is None else ("company", "created_at")
