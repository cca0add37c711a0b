"""A company's own thresholds."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ai_usage.domain.alerts import DEFAULTS
from ai_usage.models import AlertRule
from megahub.kernel import trail
from megahub.kernel.errors import NotFound


@dataclass(frozen=True, slots=True)
class Rule:
    """A threshold in force, and the default behind it."""

    alert_type: str
    threshold: Decimal
    default: Decimal
    is_active: bool
    is_own: bool


def rules_of(company_id: int) -> list[Rule]:
    """Every type that has a threshold."""
    own = {row.alert_type: row for row in AlertRule.objects.of(company_id)}
    return [_rule(name, own.get(name)) for name in DEFAULTS]


def set_rule(company_id: int, alert_type: str, threshold: Decimal | None, is_active: bool | None) -> Rule:
    """Set a company's threshold, or switch a type off; what is None stays. Raises NotFound."""
    default = _default(alert_type)
    changes = {"threshold": threshold, "is_active": is_active}
    given = {name: value for name, value in changes.items() if value is not None}
    row, _ = AlertRule.objects.unscoped().update_or_create(
        company_id=company_id,
        alert_type=alert_type,
        defaults=given,
        create_defaults={"threshold": default, **given},
    )
    return _rule(alert_type, row)


def reset_rule(company_id: int, alert_type: str) -> Rule:
    """Back to the default. Raises NotFound."""
    _default(alert_type)
    AlertRule.objects.of(company_id).filter(alert_type=alert_type).delete()
    return _rule(alert_type, None)


def facts_of(company_id: int, alert_type: str) -> dict[str, Any] | None:
    """A company's own threshold for the audit trail; None where the default is in force."""
    return trail.facts(AlertRule.objects.of(company_id).filter(alert_type=alert_type).first())


def _default(alert_type: str) -> Decimal:
    if alert_type not in DEFAULTS:
        raise NotFound
    return DEFAULTS[alert_type]


def _rule(name: str, row: AlertRule | None) -> Rule:
    threshold = DEFAULTS[name] if row is None else row.threshold
    return Rule(name, threshold, DEFAULTS[name], row is None or row.is_active, row is not None)
