"""Users, their memberships, second factors and permissions."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as BaseGroupAdmin
from django.contrib.auth.admin import UserAdmin as BaseUserAdmin
from django.contrib.auth.models import Group
from django.contrib.auth.views import PasswordChangeView
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse_lazy
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import display
from unfold.forms import UserChangeForm, UserCreationForm

from megahub.kernel import cache, trail
from megahub.kernel.admin import HubAdmin, Kept, ReadOnlyAdmin, ReadOnlyInline
from megahub.kernel.errors import Conflict
from megahub.kernel.reasons import ReasonedOwnPassword, ReasonedPassword, reason_of
from megahub.tenancy import members, services
from megahub.tenancy.admin.companies import MembershipInline
from megahub.tenancy.models import Invitation, Membership, User
from megahub.tenancy.roles import Role


class MembershipForm(forms.ModelForm):
    """The brands that a person may enter must be the company's own, and a company keeps an owner."""

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        company_id = self.instance.company_id or getattr(cleaned.get("company"), "pk", None)
        if any(brand.company_id != company_id for brand in cleaned.get("brands", ())):
            self.add_error("brands", _("This brand is another company's."))
        owns = cleaned.get("role") == Role.OWNER and cleaned.get("is_active")
        if self.instance.pk and not owns:
            try:
                members.keep_an_owner(members.locked(self.instance.company_id, self.instance.pk))
            except Conflict as error:
                self.add_error(None, error.text(gettext(error.message)))
        return cleaned


@admin.register(Membership)
class MembershipAdmin(HubAdmin):
    """Who belongs to which company, as what, and which brands they may enter."""

    names = (_("membership"), _("memberships"))
    form = MembershipForm
    list_display = ("user", "company", "role", "is_active", "default_brand", "created_at")
    list_filter = (("company", AutocompleteSelectFilter), "role", "is_active")
    list_select_related = ("user", "company", "default_brand")
    search_fields = ("user__username", "user__email", "company__name")
    fields = ("company", "user", "role", "brands", "default_brand", "is_active", "created_at")
    autocomplete_fields = ("company", "user", "brands", "default_brand")

    def get_readonly_fields(self, request: HttpRequest, obj: Membership | None = None) -> tuple[str, ...]:
        return ("created_at",) if obj is None else ("company", "user", "created_at")

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """A company's last owner is among what may not be deleted, on a page and in a list's action."""
        found, counts, needed, protected = super().get_deleted_objects(objs, request)
        gone = [row.pk for row in objs]
        for row in objs:
            try:
                members.keep_an_owner(row, gone)
            except Conflict as error:
                protected.append(f"{row}: {error.text(gettext(error.message))}")
        return found, counts, needed, protected


@admin.register(Invitation)
class InvitationAdmin(ReadOnlyAdmin):
    """Who was invited, by whom, and what became of it."""

    names = (_("invitation"), _("invitations"))
    list_display = ("company", "email", "role", "created_by", "expires_at", "revoked_at", "accepted_by")
    list_filter = (("company", AutocompleteSelectFilter), "role")
    list_select_related = ("company", "created_by", "accepted_by")
    ordering = ("-pk",)
    fields = (*list_display[:4], "brands", "created_at", *list_display[4:6], "accepted_at", "accepted_by")


class CompaniesInline(MembershipInline):
    """The companies that a person belongs to."""

    fields = ("company", "own_page", "default_brand", "created_at")


@admin.register(User)
class UserAdmin(Kept, BaseUserAdmin, HubAdmin):  # type: ignore[misc]
    """People: disabled, never deleted. Disabling and a new password end every session."""

    names = (_("user"), _("users"))
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = ReasonedPassword
    change_user_password_template = "megahub/change_password.html"  # noqa: S105  # nosec B105
    list_display = ("username", "email", "companies", "is_active", "is_staff", "last_login")
    list_filter = ("is_active", "is_staff", "is_superuser")
    inlines = (CompaniesInline,)
    fieldsets = (*BaseUserAdmin.fieldsets, (_("Mails"), {"fields": ("language",)}))  # type: ignore[misc]

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
            services.end_sign_ins(obj.pk)
        super().save_model(request, obj, form, change)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> Any:
        answer = super().user_change_password(request, id, form_url)
        if isinstance(answer, HttpResponseRedirect):
            services.end_sign_ins(int(id))
            cache.forget_everything()
        return answer


class OwnPassword(PasswordChangeView):
    """One's own new password, in the trail like everybody's; it ends every other session."""

    form_class = ReasonedOwnPassword
    template_name = "megahub/own_password.html"
    success_url = reverse_lazy("admin:password_change_done")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**admin.site.each_context(self.request), **kwargs)

    def form_valid(self, form: Any) -> HttpResponse:
        user = User.objects.get(pk=form.user.pk)
        with trail.change(self.request, "user.change", user, reason=reason_of(self.request)):
            answer = super().form_valid(form)
            services.end_sign_ins(user.pk)
        cache.forget_everything()
        return answer


admin.site.unregister(Group)


@admin.register(Group)
class GroupAdmin(BaseGroupAdmin, HubAdmin):  # type: ignore[misc]
    """Groups of administrators' permissions."""
