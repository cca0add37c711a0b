"""Checking a company's figures against its thresholds; by beat, and whenever somebody asks.

A finding becomes an alert once per window. An alert whose cause is gone is resolved by itself. When
the check itself breaks, that is an alert too, and the next check that works resolves it.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import partial
from itertools import islice
from typing import Any

from django.conf import settings
from django.db import Error as DatabaseError

from ai_providers import selectors as providers
from ai_usage.domain.alerts import DEFAULTS, Figures, Finding, findings
from ai_usage.models import AIUsageAlert, AlertRule
from ai_usage.services import alerts
from ai_usage.services.alerts import Alert
from ai_usage.services.figures import figures_of
from megahub.delivery import selectors as webhooks
from megahub.delivery.domain import events
from megahub.delivery.models import WebhookEndpoint
from megahub.kernel import clock
from megahub.kernel.text import Text
from megahub.tenancy.models import Company

log = logging.getLogger(__name__)

GONE = Text("The cause is gone.")
#: What is resolved by itself; the rest is for people.
SELF_RESOLVED = (*DEFAULTS, "webhook_disabled", "evaluator_failed", "model_retired", "model_unpriced")

#: As many companies are looked at together.
AT_ONCE = 500

Key = tuple[str, str, date, bool]


@dataclass
class Checked:
    """What a check did: the types it looked for, the alerts it raised, how many it resolved."""

    performed: list[str] = field(default_factory=list)
    raised: list[AIUsageAlert] = field(default_factory=list)
    resolved: int = 0


@dataclass(slots=True)
class Seen:
    """What a check of a company looks at; ``opened`` are its open alerts of SELF_RESOLVED."""

    company: Company
    thresholds: dict[str, Decimal]
    figures: Figures
    switched_off: list[Alert]
    opened: list[AIUsageAlert]


def check_all() -> int:
    """Check every active company; how many alerts were raised."""
    if not settings.AI_ENABLE_ALERTING:
        return 0
    companies = Company.objects.filter(is_active=True).order_by("pk").iterator(chunk_size=AT_ONCE)
    return sum(
        len(checked.raised)
        for some in iter(lambda: list(islice(companies, AT_ONCE)), [])
        for checked in _check_together(some)
    )


def _check_together(companies: list[Company]) -> Iterator[Checked]:
    """Look at all of them at once; one by one when that breaks, so that the one at fault is told."""
    try:
        seen = look(companies)
    except Exception:  # told with its traceback; then each is looked at alone, and the one at fault alerted
        log.exception("%s companies could not be looked at together", len(companies))
        yield from map(check_or_tell, companies)
        return
    for each in seen:
        yield _or_tell(each.company, partial(_compare, each))


def check_or_tell(company: Company) -> Checked:
    """``check``; a check that breaks is logged and raised as an alert of the company."""
    return _or_tell(company, partial(check, company))


def _or_tell(company: Company, checking: Callable[[], Checked]) -> Checked:
    try:
        return checking()
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
    (seen,) = look([company])
    return _compare(seen)


def look(companies: list[Company]) -> list[Seen]:
    """What checks of these companies look at, in as many queries as for one."""
    keys = [company.pk for company in companies]
    figures = figures_of({company.pk: company.timezone for company in companies}, clock.now())
    rules: dict[int, dict[str, AlertRule]] = defaultdict(dict)
    for rule in AlertRule.objects.unscoped().filter(company__in=keys):
        rules[rule.company_id][rule.alert_type] = rule
    switched_off: dict[int, list[Alert]] = defaultdict(list)
    for endpoint in webhooks.switched_off().filter(company__in=keys):
        switched_off[endpoint.company_id].append(_webhook(endpoint))
    opened: dict[int, list[AIUsageAlert]] = defaultdict(list)
    rows = AIUsageAlert.objects.unscoped().filter(company__in=keys, is_resolved=False)
    for row in rows.filter(alert_type__in=SELF_RESOLVED):
        opened[row.company_id].append(row)
    return [
        Seen(
            company,
            _thresholds(rules[company.pk]),
            figures[company.pk],
            switched_off[company.pk],
            opened[company.pk],
        )
        for company in companies
    ]


def _thresholds(rules: dict[str, AlertRule]) -> dict[str, Decimal]:
    """The thresholds in force, by type; a rule that is switched off has none."""
    found = {}
    for name, default in DEFAULTS.items():
        rule = rules.get(name)
        if rule is None or rule.is_active:
            found[name] = default if rule is None else rule.threshold
    return found


def _compare(seen: Seen) -> Checked:
    """Nothing is asked for a company of which nothing is found and nothing is open."""
    company_id = seen.company.pk
    found = findings(seen.figures, seen.thresholds)
    known = {_key(row) for row in _known(company_id, found)} if found else set()
    checked = Checked(performed=[*seen.thresholds, "webhook_disabled"])
    for finding in found:
        if finding.is_news and finding.key not in known:
            row = alerts.raise_now(_alert(company_id, finding), _threshold_event(finding))
            checked.raised += [row] if row is not None else []
    for alert in seen.switched_off:
        row = alerts.raise_now(alert)
        checked.raised += [row] if row is not None else []
    still = {finding.key for finding in found} | {
        (alert.alert_type, alert.subject, alert.window_start, alert.sandbox) for alert in seen.switched_off
    }
    checked.resolved = _resolve_gone(company_id, seen.opened, still)
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


def _webhook(endpoint: WebhookEndpoint) -> Alert:
    assert endpoint.disabled_at is not None
    url = endpoint.url[:200]
    if endpoint.disabled_reason == "failing":
        message = Text("Webhook {url} failed for three days and was switched off.", url=url)
    else:
        message = Text("Webhook {url} answered 410 Gone and was switched off.", url=url)
    return Alert(
        company_id=endpoint.company_id,
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


def _resolve_gone(company_id: int, opened: list[AIUsageAlert], still: set[Key]) -> int:
    """Resolve what is open although its cause is gone; how many."""
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
