"""A company's rate limits are made, changed and deleted."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, transaction

from ai_usage.models import RateLimit
from ai_usage.services import rates, subjects
from megahub.kernel.errors import ValidationFailed
from megahub.kernel.text import Text


def make(company_id: int, asked: dict[str, Any]) -> RateLimit:
    """Raises ValidationFailed for what is not the company's, and for a second limit of the same."""
    if not subjects.exists(company_id, asked["scope"], asked["scope_value"]):
        raise _wrong(Text("There is no such thing in this company."))
    try:
        with transaction.atomic():
            row: RateLimit = RateLimit.objects.unscoped().create(company_id=company_id, **asked)
    except IntegrityError as error:
        raise _wrong(Text("There is a rate limit for this already.")) from error
    transaction.on_commit(rates.forget)
    return row


def change(row: RateLimit, asked: dict[str, Any]) -> None:
    """What is absent stays."""
    for name, value in asked.items():
        setattr(row, name, value)
    if asked:
        row.save(update_fields=list(asked))
    transaction.on_commit(rates.forget)


def delete(row: RateLimit) -> None:
    """Its buckets go with it."""
    row.delete()
    transaction.on_commit(rates.forget)


def _wrong(text: Text) -> ValidationFailed:
    return ValidationFailed(field_errors={"scope_value": [text]}, param="scope_value")
