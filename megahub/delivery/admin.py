"""Webhook endpoints, what they were sent, and the outbox; never a secret."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from unfold.contrib.filters.admin import AutocompleteSelectFilter, RangeDateTimeFilter
from unfold.decorators import display

from megahub.delivery.models import Mail, Outbox, WebhookDelivery, WebhookEndpoint
from megahub.kernel.admin import GrowingAdmin, ReadOnlyAdmin, document

OF_COMPANY = ("company", AutocompleteSelectFilter)
STATES = {"pending": "info", "delivered": "success", "failed": "danger"}


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(ReadOnlyAdmin):
    """The companies' endpoints: looked at here, changed by their owners over the API."""

    names = (_("webhook endpoint"), _("webhook endpoints"))
    list_display = "url company kind events_shown state failures last_success_at".split()
    list_filter = (OF_COMPANY, "kind", "is_active", "disabled_reason")
    list_select_related = ("company",)
    search_fields = ("url", "description")
    fields = (
        "company url kind events_shown description is_active failures failing_since disabled_at"
        " disabled_reason last_success_at previous_until created_at"
    ).split()
    readonly_fields = ("events_shown",)

    @display(description=_("events"))
    def events_shown(self, endpoint: WebhookEndpoint) -> str:
        return ", ".join(endpoint.events)

    @display(
        description=_("state"),
        label={"active": "success", "failing": "warning", "disabled": "danger"},
    )
    def state(self, endpoint: WebhookEndpoint) -> tuple[str, Any]:
        if not endpoint.is_active:
            return "disabled", _("switched off")
        if endpoint.failures:
            return "failing", _("failing")
        return "active", pgettext_lazy("key", "active")


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(GrowingAdmin):
    """What was sent to the endpoints, attempt by attempt."""

    names = (_("webhook delivery"), _("webhook deliveries"))
    list_display = (
        "created_at company endpoint event_type state_shown attempt status ms error next_at".split()
    )
    list_filter = (OF_COMPANY, "state", "event_type", ("created_at", RangeDateTimeFilter))
    list_select_related = ("company", "endpoint")
    list_deferred = ("body", "history")
    search_fields = ("event_id",)
    fields = (
        "company endpoint event_id event_type state attempt status ms error next_at created_at"
        " delivered_at body history_shown"
    ).split()
    readonly_fields = ("history_shown",)

    @display(description=_("state"), label=STATES)
    def state_shown(self, row: WebhookDelivery) -> tuple[str, str]:
        return row.state, row.get_state_display()

    @display(description=_("attempts"))
    def history_shown(self, row: WebhookDelivery) -> Any:
        return document(row.history)


@admin.register(Outbox)
class OutboxAdmin(GrowingAdmin):
    """Events of the last days; one that stays without a relay date waits for beat."""

    names = (pgettext_lazy("heading", "outgoing event"), _("outbox"))
    list_display = ("created_at", "company", "event_type", "event_id", "relayed_at")
    list_filter = (OF_COMPANY, "event_type", ("relayed_at", admin.EmptyFieldListFilter))
    list_select_related = ("company",)
    list_deferred = ("data",)
    search_fields = ("event_id",)
    fields = ("company", "event_type", "event_id", "created_at", "relayed_at", "data_shown")
    readonly_fields = ("data_shown",)

    @display(description=_("contents"))
    def data_shown(self, row: Outbox) -> Any:
        return document(row.data)


@admin.register(Mail)
class MailAdmin(GrowingAdmin):
    """E-mails of the last days: sent, waiting for another attempt, or refused."""

    names = (pgettext_lazy("heading", "e-mail"), _("e-mails"))
    list_display = "created_at company to subject state_shown attempt error next_at sent_at".split()
    list_filter = (OF_COMPANY, "state", ("created_at", RangeDateTimeFilter))
    list_select_related = ("company",)
    list_deferred = ("text", "history")
    search_fields = ("to", "subject")
    fields = (
        "company about to subject text state_shown attempt error created_at next_at sent_at history_shown"
    ).split()
    readonly_fields = ("history_shown",)

    @display(description=_("state"), label={"pending": "info", "sent": "success", "failed": "danger"})
    def state_shown(self, row: Mail) -> tuple[str, str]:
        return row.state, row.get_state_display()

    @display(description=_("attempts"))
    def history_shown(self, row: Mail) -> Any:
        return document(row.history)
