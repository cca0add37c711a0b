"""Alerts by e-mail, in the reader's language: to the company's administrators and to AI_ALERT_EMAIL."""

from __future__ import annotations

import logging
from datetime import timedelta
from smtplib import SMTPException

from django.conf import settings
from django.core.mail import EmailMessage
from django.db.models import QuerySet
from django.utils import translation
from django.utils.translation import gettext

from ai_usage.models import AIUsageAlert
from ai_usage.services import alerts
from megahub.kernel import clock
from megahub.tenancy.models import Company, Membership
from megahub.tenancy.roles import Role

log = logging.getLogger(__name__)

#: What could not be sent for so long is no news any more.
NEWS = timedelta(days=1)
MAILED = ("warning", "critical")
SENT_AT_ONCE = 200


def send_waiting(company_id: int | None = None) -> int:
    """Mail the open alerts that were not mailed yet; how many were."""
    if not settings.AI_ENABLE_ALERTING:
        return 0
    rows = AIUsageAlert.objects.unscoped() if company_id is None else AIUsageAlert.objects.of(company_id)
    waiting: QuerySet[AIUsageAlert] = rows.filter(
        email_sent=False, is_resolved=False, severity__in=MAILED, created_at__gte=clock.now() - NEWS
    )
    return sum(_send(alert) for alert in waiting.select_related("company").order_by("id")[:SENT_AT_ONCE])


def recipients_of(company: Company) -> dict[str, list[str]]:
    """By language: the addresses of a company's active owners and administrators, and the hub's own.

    A person's own language goes before the company's; an address hears of an alert once.
    """
    members = Membership.objects.of(company.pk).filter(
        role__in=(Role.OWNER, Role.ADMIN), is_active=True, user__is_active=True
    )
    own = members.exclude(user__email="").order_by("id").values_list("user__language", "user__email")
    languages: dict[str, str] = {}
    for language, address in (*own, *(("", each) for each in settings.AI_ALERT_EMAIL)):
        languages.setdefault(address, language or company.language)
    found: dict[str, list[str]] = {}
    for address, language in languages.items():
        found.setdefault(language, []).append(address)
    return found


def _send(alert: AIUsageAlert) -> bool:
    """Mail one alert, unless another process does: the row is taken before anything is sent."""
    recipients = recipients_of(alert.company)
    own = AIUsageAlert.objects.of(alert.company_id).filter(pk=alert.pk)
    if not recipients or not own.filter(email_sent=False).update(
        email_sent=True, email_sent_at=clock.now()
    ):
        return False
    try:
        # Each on a message of its own would tell nobody who else hears of it; a company's people know.
        for language, addresses in recipients.items():
            with translation.override(language):
                subject, text = _subject(alert), _text(alert)
            EmailMessage(subject, text, settings.DEFAULT_FROM_EMAIL, addresses).send()
    except (SMTPException, OSError):
        log.exception("alert %s could not be mailed; it is tried again", alert.pk)
        own.update(email_sent=False, email_sent_at=None)
        return False
    return True


def _subject(alert: AIUsageAlert) -> str:
    kind, severity = alert.get_alert_type_display(), alert.get_severity_display()
    return " ".join(f"[MEGAHUB] {severity}: {kind} ({alert.company.name})".split())[:200]


def _text(alert: AIUsageAlert) -> str:
    lines = [
        alerts.message_of(alert),
        "",
        gettext("Company: {name}").format(name=alert.company.name),
        gettext("Severity: {severity}").format(severity=alert.get_severity_display()),
        gettext("Since: {moment}").format(moment=clock.iso(alert.created_at)),
    ]
    if alert.sandbox:
        lines.append(gettext("These are figures of the sandbox; nothing was paid."))
    return "\n".join([*lines, "", f"{settings.HUB_PUBLIC_URL}/ai/alerts/{alert.pk}/", ""])
