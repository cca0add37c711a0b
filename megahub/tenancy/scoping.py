"""Rows that belong to a company are read through a scope, or not at all.

``Model.objects`` raises until it is told whose rows are meant: ``.of(company_id)`` for a caller's
own, ``.unscoped()`` for the hub's own work (the admin, the reaper, commands). A foreign row is then
answered exactly like an absent one, because the query never sees it.
"""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn, TypeVar

from django.db import models

M = TypeVar("M", bound=models.Model)


class ScopeRequired(RuntimeError):
    """A query over tenants' rows that does not say whose. A programming error, never a 404."""


class Scoped(models.Manager[M]):
    """The manager of every model with a company."""

    use_in_migrations = False

    def of(self, company_id: int) -> models.QuerySet[M]:
        """The rows of one company."""
        return super().get_queryset().filter(company_id=company_id)

    def unscoped(self) -> models.QuerySet[M]:
        """The rows of every company; for the hub's own work, never for a caller's request."""
        return super().get_queryset()

    def none(self) -> models.QuerySet[M]:
        """No rows, of nobody: what drf-spectacular asks for to learn a list's filters."""
        return super().get_queryset().none()

    def get_queryset(self) -> NoReturn:
        raise ScopeRequired(f"{self.model.__name__}.objects: say .of(company_id) or .unscoped()")


class CompanyOwned(models.Model):
    """Base of every row that belongs to a company.

    Django's own machinery (related managers, the admin, unique checks) uses the plain ``rows``
    manager, which is the default one; the project's code uses ``objects`` (tests/test_house.py).
    """

    #: References by number, without a key: {column: "app.Model"} (megahub/tenancy/protection.py).
    points_to: ClassVar[dict[str, str]] = {}
    #: What ``scope_value`` is a number of, by ``scope``: {scope: "app.Model"}.
    scopes_point_to: ClassVar[dict[str, str]] = {}
    #: Rows that are written once: the application's role may not change or delete them (guarding.py).
    append_only: ClassVar[bool] = False

    company = models.ForeignKey("tenancy.Company", on_delete=models.PROTECT, related_name="+")

    rows: Any = models.Manager()
    objects: Any = Scoped()

    class Meta:
        abstract = True
        default_manager_name = "rows"
