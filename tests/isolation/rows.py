"""A row of any model for a company: every free text and JSON field says ``says``."""

from __future__ import annotations

import itertools
import uuid
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db import models

from megahub.kernel import clock
from megahub.tenancy import protection
from megahub.tenancy.models import Company, User

_numbers = itertools.count(1)
Model = type[models.Model]


def make(model: Model, company: Company, says: str = "row", **given: Any) -> Any:
    """A stored row of ``model`` that belongs to ``company``, with all that it hangs on."""
    if model is Company:
        return company
    if protection.is_owned(model) and model._meta.get_field("company").unique:
        there = model._base_manager.filter(company=company).first()
        if there is not None:
            return there
    values = {
        field.name: _value(field, company, says)
        for field in model._meta.concrete_fields
        if not field.primary_key or isinstance(field, models.ForeignKey)
        if field.name not in given and field.attname not in given
    }
    row = model(**{**values, **given})
    row.save(force_insert=True)
    return row


def plain_manager(model: Model) -> Any:
    """The manager that sees every row."""
    return model._base_manager


def _value(field: Any, company: Company, says: str) -> Any:
    if field.is_relation:
        return _related(field, company, says)
    if field.choices:
        return field.default if field.has_default() else field.choices[0][0]
    if isinstance(field, models.JSONField):
        return {"says": says}
    if isinstance(field, models.CharField | models.TextField):
        return _text(field, says)
    return _of_kind(field)


def _of_kind(field: Any) -> Any:
    number, now = next(_numbers), clock.now()
    kinds: list[tuple[type, Any]] = [
        (models.UUIDField, uuid.uuid4()),
        (models.FileField, ""),
        (models.BooleanField, False),
        (models.DateTimeField, now),
        (models.DateField, now.date() + timedelta(days=number)),
        (models.DecimalField, Decimal(1)),
        (models.FloatField, 1.0),
        (models.BinaryField, b"sealed"),
        (models.SmallIntegerField, number % 20),
        # Beyond every row's number: it points to nothing.
        (models.IntegerField, 10_000_000 + number),
    ]
    return next(value for kind, value in kinds if isinstance(field, kind))


def _text(field: Any, says: str) -> str:
    number = f"{next(_numbers):x}"
    if field.max_length is None:
        return says
    if field.max_length < len(says) + len(number) + 1:
        return number[: field.max_length]
    return f"{says}-{number}"


def _related(field: Any, company: Company, says: str) -> Any:
    target = field.related_model
    if field.null and not protection.belongs(target):
        return None
    if protection.belongs(target):
        if field.null and target is field.model:
            return None
        return make(target, company, says)
    found = None if target is User else target._base_manager.first()
    return make(target, company, "everybody's") if found is None else found
