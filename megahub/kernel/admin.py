"""The admin's ground: caches forget what was changed, lists are light, histories are read-only."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import orjson
from django.contrib import messages
from django.contrib.admin import AdminSite, ShowFacets
from django.contrib.auth import get_permission_codename
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from unfold.admin import ModelAdmin, TabularInline
from unfold.paginator import InfinitePaginator
from unfold.views import ChangeList

from megahub.kernel import cache, labels, money, trail
from megahub.kernel.reasons import ASKED, ReasonedActions, reason_of

#: A stored document is shown up to here; whoever needs all of it asks the API.
SHOWN_CHARACTERS = 100_000
TABLE = "unfold/components/table.html"


class LightList(ChangeList):
    """A list that leaves its admin's ``list_deferred`` columns in the database."""

    def get_queryset(
        self, request: HttpRequest, exclude_parameters: list[str] | None = None
    ) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request, exclude_parameters)
        return rows.defer(*self.model_admin.list_deferred)


class HubAdmin(ModelAdmin):
    """Every admin page. ``names`` is what people call (one, many) of the model.

    What is saved or deleted here is forgotten by the caches of this process once it is committed;
    the other processes' caches live for seconds.
    """

    names: tuple[Any, Any] | None = None
    list_deferred: tuple[str, ...] = ()
    list_filter_submit = True
    list_fullwidth = True
    warn_unsaved_form = True
    action_form = ReasonedActions
    change_form_after_template: str | None = "megahub/form_reason.html"

    def __init__(self, model: type[Model], admin_site: AdminSite) -> None:
        labels.apply(model, self.names)
        super().__init__(model, admin_site)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[LightList]:
        return LightList

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """The page's form, which is refused without a reason."""
        form: Any = super().get_form(request, obj, change, **kwargs)
        if request.method != "POST":
            return form

        def clean(asked: Any) -> Any:
            cleaned = form.clean(asked)
            if not reason_of(request):
                asked.add_error(None, ASKED)
            return cleaned

        kept: Any = type(form.__name__, (form,), {"clean": clean})
        return kept

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        """Nothing is deleted without a reason."""
        if request.method == "POST" and not reason_of(request):
            messages.error(request, ASKED)
            return HttpResponseRedirect(request.get_full_path())
        return super().delete_view(request, object_id, extra_context)

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        """No action without a reason either; deleting asks for it on a page of its own."""
        named = set(request.POST.getlist("action")) - {""}
        asks_later = named == {"delete_selected"} and not request.POST.get("post")
        if named and not asks_later and not reason_of(request):
            messages.error(request, ASKED)
            return None
        return super().response_action(request, queryset)

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> Any:
        changed: dict[str, Any] = {
            "before": self.told(form.instance) if change else None,
            "parts": ({}, {}),
        }
        request.hub_change = changed  # type: ignore[attr-defined]
        return super().save_form(request, form, change)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        """Rows on the same page (a company's brands, say) belong to its entry in the audit trail."""
        rows = [each.instance for each in formset.initial_forms]
        before = {str(row.pk): trail.stored(row) for row in rows}
        super().save_formset(request, form, formset, change)
        changed = [row for row, _ in formset.changed_objects] + list(formset.new_objects)
        gone = [str(pk) for pk in before if pk not in {str(row.pk) for row in rows if row.pk}]
        name = formset.prefix
        old, new = request.hub_change["parts"]  # type: ignore[attr-defined]
        after = {str(row.pk): trail.stored(row) for row in changed}
        if after or gone:
            old[name] = {pk: before[pk] for pk in (*after, *gone) if pk in before}
            new[name] = after

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        self.record(request, "create", obj, None, self.told(obj))
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        changed = getattr(request, "hub_change", None)
        if isinstance(message, str) or changed is None:  # an action, which says what it did
            did = str(message) if isinstance(message, str) else gettext("changed")
            self.record(request, "change", obj, None, {"did": did, **(self.told(obj) or {})})
        else:
            self.record(request, "change", obj, changed["before"], self.told(obj))
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        for obj in queryset:
            self.record(request, "delete", obj, self.told(obj), None)
        return super().log_deletions(request, queryset)

    def told(self, obj: Any) -> trail.Facts | None:
        """A row's facts for the audit trail, as the database has them now."""
        return trail.stored(obj)

    def record(
        self,
        request: HttpRequest,
        verb: str,
        obj: Any,
        before: trail.Facts | None,
        after: trail.Facts | None,
    ) -> None:
        """An entry in the audit trail, in the transaction of the change, with the reason that was given."""
        entry = trail.about(request, f"{self.opts.model_name}.{verb}", obj, reason_of(request))
        entry.before, entry.after = trail.difference(before, after)
        old, new = getattr(request, "hub_change", {"parts": ({}, {})})["parts"]
        if new:
            entry.before, entry.after = {**(entry.before or {}), **old}, {**(entry.after or {}), **new}
        with transaction.atomic():
            trail.record(entry)

    def log_only(self, request: HttpRequest, obj: Any, message: str) -> None:
        """Django's own history alone, for what has its entry in the trail already."""
        super().log_change(request, obj, message)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        transaction.on_commit(cache.forget_everything)

    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        super().delete_model(request, obj)
        transaction.on_commit(cache.forget_everything)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        super().delete_queryset(request, queryset)
        transaction.on_commit(cache.forget_everything)

    def has_act_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whether somebody may use the actions of a page (``permissions=["act"]``): who may change it."""
        codename = get_permission_codename("change", self.opts)
        return bool(request.user.has_perm(f"{self.opts.app_label}.{codename}"))


class Kept:
    """Rows that are switched off, ended or retired, and never deleted."""

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReadOnlyAdmin(Kept, HubAdmin):
    """Rows that only the hub writes; their pages open, and that is all (superusers included)."""

    change_form_after_template = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class GrowingAdmin(ReadOnlyAdmin):
    """Rows that come with every job: newest first, paged without counting them."""

    paginator = InfinitePaginator
    show_full_result_count = False
    list_disable_select_all = True
    show_facets = ShowFacets.NEVER
    list_per_page = 50
    ordering: tuple[str, ...] = ("-pk",)


class ReadOnlyInline(TabularInline):
    """Rows of another table on a page, as they are."""

    extra = 0
    max_num = 0
    can_delete = False
    hide_title = True

    def __init__(self, parent_model: type[Model], admin_site: AdminSite) -> None:
        labels.apply(self.model, None)
        super().__init__(parent_model, admin_site)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.get_fields(request, obj)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def page(model: type[Model] | str, pk: Any) -> str:
    """The address of a row's page; the model as a class or, for one of an app above, ``app_model``."""
    name = model if isinstance(model, str) else model._meta.label_lower.replace(".", "_")
    return reverse(f"admin:{name}_change", args=[pk])


def pages(model: str, /, **filters: Any) -> str:
    """The address of a model's list (``app_model``), filtered."""
    return f"{reverse(f'admin:{model}_changelist')}?{urlencode(filters)}"


def link(address: str, text: Any) -> SafeString:
    """A link as Unfold draws it."""
    return format_html('<a href="{}" class="text-link">{}</a>', address, text)


def after_dialog(address: str) -> HttpResponse:
    """The answer to a confirmed dialog: the browser (htmx) goes to ``address``."""
    return HttpResponse(headers={"HX-Redirect": address})


def usd(nano: int | None) -> str | None:
    """Nano-USD as people read them, with two to six decimals; None stays None."""
    if nano is None:
        return None
    whole, decimals = f"{money.from_nano(nano):,.6f}".split(".")
    return f"{whole}.{decimals.rstrip('0'):0<2} USD"


def document(value: Any) -> SafeString | None:
    """A stored JSON value, indented and escaped; None for none."""
    if value is None:
        return None
    text = orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str).decode()
    if len(text) > SHOWN_CHARACTERS:
        more = gettext("%s characters") % number_format(len(text), force_grouping=True)
        text = f"{text[:SHOWN_CHARACTERS]}\n… ({more})"
    return format_html('<pre class="hub-document">{}</pre>', text)


def table(headers: list[Any], rows: list[list[Any]]) -> SafeString:
    """A table as Unfold draws it; cells are escaped."""
    context = {"table": {"headers": headers, "rows": rows}}
    return format_html('<div class="hub-table">{}</div>', render_to_string(TABLE, context))
