"""The admin's sidebar: what stands where, for those who may see it; ``base`` takes it in."""

from __future__ import annotations

from typing import Any

from django.templatetags.static import static
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


def _page(model: str, icon: str, title: Any, page: str = "changelist") -> dict[str, Any]:
    """A line of the sidebar: the list of ``app_model``, for those who may see it."""
    app, name = model.rsplit("_", 1)
    names = {f"{model}_{page}"}
    if page == "changelist":
        names |= {f"{model}_{other}" for other in ("add", "change", "delete", "history")}
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{model}_{page}"),
        "permission": lambda request: request.user.has_perm(f"{app}.view_{name}"),
        "active": lambda request: request.resolver_match.url_name in names,
    }


def _group(title: Any, *items: dict[str, Any]) -> dict[str, Any]:
    return {"title": title, "separator": True, "items": items}


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "MEGAHUB",
    "SITE_HEADER": "MEGAHUB",
    "SITE_SYMBOL": "hub",
    "SITE_URL": "/docs/",
    "SHOW_VIEW_ON_SITE": False,
    "DASHBOARD_CALLBACK": "ai_usage.admin.start.figures",
    "SHOW_BACK_BUTTON": True,
    "STYLES": [lambda _: static("megahub/admin.css")],
    "SCRIPTS": [lambda _: static("megahub/admin.js")],
    "SIDEBAR": {
        "show_search": True,
        "navigation": [
            _group(
                _("Companies and people"),
                _page("tenancy_company", "apartment", _("Companies")),
                _page("tenancy_brand", "sell", _("Brands")),
                _page("tenancy_user", "person", _("Users")),
                _page("tenancy_membership", "badge", _("Memberships")),
                _page("tenancy_invitation", "mail", _("Invitations")),
                _page("tenancy_apikey", "key", pgettext_lazy("heading", "API keys")),
                _page("tenancy_signin", "login", _("Sign-ins")),
                _page("mfa_authenticator", "phonelink_lock", _("Second factors")),
                _page("socialaccount_socialaccount", "badge", _("Identities")),
            ),
            _group(
                _("Providers"),
                _page("ai_providers_aiprovider", "cloud", _("Providers")),
                _page("ai_providers_aicredentials", "vpn_key", _("Provider keys")),
                _page("ai_providers_sealedkey", "history", _("History of keys")),
                _page("ai_providers_aimodel", "tune", _("Model overrides")),
                _page("ai_providers_exchangerate", "currency_exchange", _("Exchange rates")),
            ),
            _group(
                _("Jobs"),
                _page("ai_core_aijob", "work", _("Jobs")),
                _page("ai_core_aibatch", "dynamic_feed", _("Batches")),
                _page("ai_batch_batch", "stacks", _("Batches of files")),
                _page("ai_batch_batchschedule", "event_repeat", _("Recurring batches")),
                _page("ai_batch_storedfile", "description", _("Files")),
                _page("ai_core_attempt", "call_made", _("Attempts")),
                _page("ai_openai_openaijob", "chat", _("OpenAI jobs")),
                _page("ai_core_aijobtype", "category", _("Job types")),
                _page("ai_usage_jobrating", "star", _("Ratings")),
            ),
            _group(
                _("Money"),
                _page("ai_usage_budget", "savings", _("Budgets")),
                _page("ai_usage_budgetwindow", "date_range", _("Budget windows")),
                _page("ai_usage_ratelimit", "speed", _("Rate limits")),
                _page("ai_usage_unknownexposure", "help_center", _("Unknown exposures")),
                _page("ai_usage_aijobusage", "bar_chart", _("Usage")),
                _page("ai_usage_ledgerentry", "receipt_long", _("Ledger")),
                _page("ai_usage_ledgerentry", "money_off", _("Unpriced usage"), "unpriced"),
                _page("ai_usage_usagerollup", "monitoring", _("Rollups")),
                _page("ai_usage_export", "download", _("Exports")),
                _page("ai_usage_exportschedule", "event_repeat", _("Export schedules")),
                _page("ai_usage_aiusagealert", "notifications", _("Alerts")),
                _page("ai_usage_alertrule", "tune", _("Alert thresholds")),
            ),
            _group(
                _("Webhooks"),
                _page("delivery_webhookendpoint", "webhook", _("Webhook endpoints")),
                _page("delivery_webhookdelivery", "send", _("Webhook deliveries")),
                _page("delivery_outbox", "outbox", _("Outbox")),
                _page("delivery_mail", "mail", _("E-mails")),
            ),
            _group(
                _("Privacy and security"),
                _page("ai_guard_guardpolicy", "policy", _("Guard policies")),
                _page("ai_guard_finding", "flag", _("Findings")),
                _page("ai_guard_erasure", "ink_eraser", _("Erasures")),
                _page("audit_auditentry", "history_edu", _("Audit trail")),
            ),
            _group(
                _("System"),
                _page("ai_core_providergate", "block", _("Provider gates")),
                _page("ai_core_workersession", "memory", _("Processes")),
                _page("tenancy_idempotencykey", "repeat", _("Idempotency keys")),
                _page("tenancy_companykey", "lock", _("Company data keys")),
                _page("auth_group", "group", _("Groups")),
            ),
        ],
    },
}
