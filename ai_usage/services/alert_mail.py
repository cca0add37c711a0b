"""Alerts by e-mail, in the reader's language: to the company's administrators and to AI_ALERT_EMAIL.

An address that cannot be reached is tried again by itself; the others do not hear of it twice.
"""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import translation
from django.utils.translation import gettext

from ai_usage.models import AIUsageAlert
from ai_usage.services import alerts
from megahub.delivery.services import mails
from megahub.kernel import clock
from megahub.tenancy import members
from megahub.tenancy.models import Company, Membership
from megahub.tenancy.roles import Role

#: What nobody could be told of for so long is no news any more.
NEWS = timedelta(days=1)
MAILED = ("warning", "critical")
AT_ONCE = 200


def write_waiting(company_id: int | None = None) -> int:
    """Write the mails of the open alerts that none was written of yet; of how many there were.

    Beat sends them, each address's by itself (megahub/delivery/services/mails.py).
    """
    if not settings.AI_ENABLE_ALERTING:
        return 0
    rows = AIUsageAlert.objects.unscoped() if company_id is None else AIUsageAlert.objects.of(company_id)
    waiting: QuerySet[AIUsageAlert] = rows.filter(
        email_sent=False, is_resolved=False, severity__in=MAILED, created_at__gte=clock.now() - NEWS
    )
    return sum(_write(alert) for alert in waiting.select_related("company").order_by("id")[:AT_ONCE])


def recipients_of(company: Company) -> dict[str, list[str]]:
    """By language: the addresses of a company's active owners and administrators, and the hub's own.

    A person's own language goes before the company's; an address hears of an alert once.
    """
    members_told = Membership.objects.of(company.pk).filter(
        role__in=(Role.OWNER, Role.ADMIN), is_active=True, user__is_active=True
    )
    own = members_told.exclude(user__email="").order_by("id").values_list("user__email", flat=True)
    return members.by_language(company, [*own, *settings.AI_ALERT_EMAIL])


def _write(alert: AIUsageAlert) -> bool:
    """Write the mails of one alert with the row that says so, unless another process has."""
    recipients = recipients_of(alert.company)
    own = AIUsageAlert.objects.of(alert.company_id).filter(pk=alert.pk, email_sent=False)
    with transaction.atomic():
        if not recipients or not own.update(email_sent=True, email_sent_at=clock.now()):
            return False
        for language, addresses in recipients.items():
            with translation.override(language):
                subject, text = _subject(alert), _text(alert)
            mails.write(alert.company_id, f"alert:{alert.pk}", addresses, subject, text)
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
