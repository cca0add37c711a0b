"""What budgets and rate limits may count: things of the company, or of the catalogue."""

from __future__ import annotations

from typing import Any

from ai_providers.catalogue import loading
from ai_usage.models import Budget
from megahub.tenancy.models import ApiKey, Brand, Membership

MOST_DIGITS = 18
ROWS: dict[str, Any] = {
    Budget.Scope.BRAND.value: (Brand, "pk"),
    Budget.Scope.API_KEY.value: (ApiKey, "pk"),
    Budget.Scope.USER.value: (Membership, "user_id"),
}


def exists(company_id: int, scope: str, value: str) -> bool:
    """Whether a scope names something: of this company, or of the catalogue. A stranger's is like none."""
    if scope == Budget.Scope.PROVIDER:
        return value in loading.PROVIDERS
    if scope == Budget.Scope.MODEL:
        return value in loading.models()
    if scope not in ROWS:
        return value == ""
    model, column = ROWS[scope]
    # Jobs are matched by the number's own writing: "07" would never count anything.
    if not value.isdecimal() or len(value) > MOST_DIGITS or value != str(int(value)):
        return False
    return bool(model.objects.of(company_id).filter(**{column: int(value)}).exists())
