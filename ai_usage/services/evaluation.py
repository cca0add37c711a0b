"""Checking a company's figures against its thresholds; by beat, and whenever somebody asks.

A finding becomes an alert once per window. An alert whose cause is gone is resolved by itself. When
the check itself breaks, that is an alert too, and the next check that works resolves it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import Error as DatabaseError

from ai_providers import selectors as providers
from ai_usage.domain.alerts import DEFAULTS, Finding, findings
from ai_usage.models import AIUsageAlert, AlertRule
from ai_usage.services import alerts
from ai_usage.services.alerts import Alert
from ai_usage.services.figures import figures_of
from megahub.delivery import selectors as webhooks
from megahub.delivery.domain import events
from megahub.kernel import clock
from megahub.kernel.text import Text
from megahub.tenancy.models import Company

log = logging.getLogger(__name__)

GONE = Text("The cause is gone.")
#: What is resolved by itself; the rest is for people.
SELF_RESOLVED = (*DEFAULTS, "webhook_disabled", "evaluator_failed", "model_retired", "model_unpriced")

Key = tuple[str, str, date, bool]


@dataclass
class Checked:
    """What a check did: the types it looked for, the alerts it raised, how many it resolved."""

    performed: list[str] = field(default_factory=list)
    raised: list[AIUsageAlert] = field(default_factory=list)
    resolved: int = 0


def thresholds_of(company_id: int) -> dict[str, Decimal]:
    """The thresholds in force, by type; a rule that is switched off has none."""
    rules = {rule.alert_type: rule for rule in AlertRule.objects.of(company_id)}
    found = {}
    for name, default in DEFAULTS.items():
        rule = rules.get(name)
        if rule is None or rule.is_active:
            found[name] = default if rule is None else rule.threshold
    return found


def check_all() -> int:
    """Check every active company; how many alerts were raised."""
    if not settings.AI_ENABLE_ALERTING:
        return 0
    return sum(len(check_or_tell(company).raised) for company in Company.objects.filter(is_active=True))


def check_or_tell(company: Company) -> Checked:
    """``check``; a check that breaks is logged and raised as an alert of the company."""
    try:
        return check(company)
    except Exception as error:
        log.exception("the alerts of company %s could not be checked", company.pk)
        try:
            row = alerts.raise_now(_failure(company, error))
        except DatabaseError:
            log.error("and that could not be stored")
            raise error from None
        return Checked(raised=[row] if row is not None else [])


def check(company: Company) -> Checked:
    """Raise what is passed and was not raised yet; resolve what is not passed any more."""
    if not settings.AI_ENABLE_ALERTING:
        return Checked()
    thresholds = thresholds_of(company.pk)
    found = findings(figures_of(company.pk, company.timezone, clock.now()), thresholds)
    known = {_key(row): row for row in _known(company.pk, found)}
    checked = Checked(performed=[*thresholds, "webhook_disabled"])
    for finding in found:
        if finding.is_news and finding.key not in known:
            row = alerts.raise_now(_alert(company.pk, finding), _threshold_event(finding))
            checked.raised += [row] if row is not None else []
    switched_off = list(_webhooks(company.pk))
    for alert in switched_off:
        row = alerts.raise_now(alert)
        checked.raised += [row] if row is not None else []
    still = {finding.key for finding in found} | {
        (alert.alert_type, alert.subject, alert.window_start, alert.sandbox) for alert in switched_off
    }
    checked.resolved = _resolve_gone(company.pk, still)
    return checked


def _alert(company_id: int, finding: Finding) -> Alert:
    return Alert(
        company_id=company_id,
        alert_type=finding.alert_type,
        provider_name=finding.provider,
        subject=finding.subject,
        window_start=finding.window_start,
        message=finding.message,
        severity=finding.severity,
        sandbox=finding.sandbox,
        threshold=finding.threshold,
        current=finding.current,
    )


def _threshold_event(finding: Finding) -> tuple[str, dict[str, Any]] | None:
    """``budget.threshold``: a budget's window has reached a threshold."""
    budget = finding.budget
    if budget is None:
        return None
    data = {
        "budget": {
            "id": budget.id,
            "scope": budget.scope,
            "scope_value": budget.scope_value,
            "period": budget.period,
            "unit": budget.unit,
        },
        "alert_type": finding.alert_type,
        "severity": finding.severity,
        "message": str(finding.message),
        "threshold": str(finding.threshold),
        "used": str(finding.current),
        "spent": budget.show(budget.spent),
        "limit": budget.show(budget.limit),
        "window_start": str(budget.starts_on),
        "sandbox": budget.sandbox,
    }
    return events.BUDGET_THRESHOLD, data


def _webhooks(company_id: int) -> Iterator[Alert]:
    for endpoint in webhooks.switched_off().filter(company_id=company_id):
        assert endpoint.disabled_at is not None
        url = endpoint.url[:200]
        if endpoint.disabled_reason == "failing":
            message = Text("Webhook {url} failed for three days and was switched off.", url=url)
        else:
            message = Text("Webhook {url} answered 410 Gone and was switched off.", url=url)
        yield Alert(
            company_id=company_id,
            alert_type=AIUsageAlert.AlertType.WEBHOOK_DISABLED,
            provider_name="",
            subject=f"webhook:{endpoint.pk}",
            window_start=endpoint.disabled_at.date(),
            message=message,
        )


def _failure(company: Company, error: Exception) -> Alert:
    return Alert(
        company_id=company.pk,
        alert_type=AIUsageAlert.AlertType.EVALUATOR_FAILED,
        provider_name="",
        subject="evaluator",
        window_start=clock.now().date(),
        message=Text("The alerts could not be checked: {error}.", error=type(error).__name__),
        severity="critical",
    )


def _known(company_id: int, found: list[Finding]) -> list[AIUsageAlert]:
    """The alerts that were raised already in the windows that are open."""
    days = {finding.window_start for finding in found}
    rows = AIUsageAlert.objects.of(company_id).filter(window_start__in=days)
    return list(rows.filter(alert_type__in=list(DEFAULTS)).only(*KEY_COLUMNS))


KEY_COLUMNS = ("alert_type", "subject", "window_start", "sandbox", "company_id")


def _key(row: AIUsageAlert) -> Key:
    return row.alert_type, row.subject, row.window_start, row.sandbox


def _resolve_gone(company_id: int, still: set[Key]) -> int:
    """Resolve what is open although its cause is gone; how many."""
    opened = AIUsageAlert.objects.of(company_id).filter(is_resolved=False, alert_type__in=SELF_RESOLVED)
    gone = [row.pk for row in opened if _key(row) not in still and not _lasts(row)]
    rows = AIUsageAlert.objects.of(company_id).filter(pk__in=gone, is_resolved=False)
    return (
        int(rows.update(is_resolved=True, resolved_at=clock.now(), resolution_note=str(GONE)))
        if gone
        else 0
    )


def _lasts(row: AIUsageAlert) -> bool:
    """Alerts of models are raised by calls, once a month: they last for it, or until there is a price."""
    if row.alert_type not in ("model_retired", "model_unpriced"):
        return False
    if row.window_start < clock.now().date().replace(day=1):
        return False
    priced = {spec.id for spec, price in providers.listing() if price is not None}
    return row.alert_type == "model_retired" or row.subject not in priced
