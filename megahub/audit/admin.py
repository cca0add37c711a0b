"""The audit trail, to be read."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import NoReverseMatch
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import AutocompleteSelectFilter, RangeDateTimeFilter
from unfold.decorators import display

from megahub.audit.models import AuditEntry
from megahub.kernel.admin import GrowingAdmin, document, link, page

#: Labels' colours in lists, by value.
KINDS = {"user": "info", "key": "info", "command": "warning", "system": "primary", "anonymous": "danger"}


@admin.register(AuditEntry)
class AuditEntryAdmin(GrowingAdmin):
    """Who changed what, when, from where and why. Nobody writes here, the database sees to it."""

    names = (_("audit entry"), _("audit trail"))
    list_display = "at company kind actor_name action object_link reason ip".split()
    list_filter = (
        ("company", AutocompleteSelectFilter),
        "actor_kind",
        ("at", RangeDateTimeFilter),
    )
    list_select_related = ("company",)
    list_deferred = ("before", "after", "user_agent", "prev_hash", "hash")
    search_fields = ("action", "object_id", "object_name", "actor_name", "request_id", "reason")
    search_help_text = _("Action, object, person, request or reason")
    fieldsets = (
        (None, {"fields": (
            ("at", "company"), ("kind", "actor_name"), ("action", "object_link"), "reason",
            ("before_shown", "after_shown"),
        )}),
        (_("From where"), {"fields": (("ip", "hops"), ("user_agent", "request_id"), "api_key_id")}),
        (_("Place in the chain"), {"fields": (("chain", "seq"), "prev_hash", "hash")}),
    )  # fmt: skip
    readonly_fields = ("kind", "object_link", "before_shown", "after_shown")

    @display(description=_("by"), label=KINDS)
    def kind(self, entry: AuditEntry) -> tuple[str, str]:
        return entry.actor_kind, entry.get_actor_kind_display()

    @display(description=_("object"))
    def object_link(self, entry: AuditEntry) -> Any:
        """The row's page, if rows of its kind have one; a row that is gone says so there."""
        name = entry.object_name or f"{entry.object_type} {entry.object_id}".strip()
        try:
            return link(page(entry.object_type.replace(".", "_"), entry.object_id), name)
        except NoReverseMatch:
            return name

    @display(description=_("before"))
    def before_shown(self, entry: AuditEntry) -> Any:
        return document(entry.before)

    @display(description=_("after"))
    def after_shown(self, entry: AuditEntry) -> Any:
        return document(entry.after)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
