"""A company's budgets are made, changed and deleted over REST.

A limit that is cut takes nothing from what runs: holds stand, what ran is charged. From the commit on the
next job is asked about the new limit, since the row itself is asked (``services/budgets.py``).
"""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, transaction

from ai_usage.models import Budget
from ai_usage.services import defaults, limits, subjects
from megahub.kernel.errors import Conflict, ValidationFailed
from megahub.kernel.text import Text


def make(company_id: int, asked: dict[str, Any]) -> Budget:
    """Raises ValidationFailed for what is not the company's, and for a second budget of the same."""
    limits.provide_defaults(company_id)
    if not subjects.exists(company_id, asked["scope"], asked["scope_value"]):
        raise _wrong("scope_value", Text("There is no such thing in this company."))
    try:
        with transaction.atomic():
            row: Budget = Budget.objects.unscoped().create(company_id=company_id, **asked)
    except IntegrityError as error:
        text = Text("There is a budget of this scope, period and unit already; change it.")
        raise _wrong("scope", text) from error
    transaction.on_commit(limits.forget)
    return row


def change(row: Budget, asked: dict[str, Any]) -> None:
    """What is absent stays."""
    for name, value in asked.items():
        setattr(row, name, value)
    if asked:
        row.save(update_fields=list(asked))
    transaction.on_commit(limits.forget)


def delete(row: Budget) -> None:
    """With its windows. Raises Conflict for one that every company has: it would be made again."""
    if is_everybodys(row):
        raise Conflict("Every company has this budget; switch it off instead (is_active: false).")
    row.delete()
    transaction.on_commit(limits.forget)


def is_everybodys(row: Budget) -> bool:
    """Whether the hub makes such a budget for every company (services/defaults.py)."""
    if row.scope == Budget.Scope.REASONING:
        return row.period == Budget.Period.DAY and row.unit in (Budget.Unit.NANO_USD, Budget.Unit.JOBS)
    return defaults.is_of_quota(row) and (row.scope_value, row.unit) in defaults.quota_limits()


def _wrong(field: str, text: Text) -> ValidationFailed:
    return ValidationFailed(field_errors={field: [text]}, param=field)
