"""``/ai/budgets/``: what jobs may cost or use in a day, a month or in total; set by owners and admins."""

from __future__ import annotations

from typing import Any, cast

import django_filters as filters
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import mixins, status, viewsets
from rest_framework.decorators import action
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from ai_usage.api import budget_shapes as shapes
from ai_usage.models import Budget
from ai_usage.selectors import budgets as selectors
from ai_usage.services import budget_changes, limits
from megahub.kernel import trail
from megahub.kernel.errors import Conflict, Forbidden, NotFound
from megahub.kernel.filters import OF_PAGES, Flag
from megahub.kernel.refusals import named
from megahub.kernel.shapes import read, refuse_unknown
from megahub.tenancy.authentication import HasScope, caller_of
from megahub.tenancy.replaying import Idempotent
from megahub.tenancy.selectors import bound_brands

MANAGE = "limits:manage"


class BudgetFilters(filters.FilterSet):
    scope = filters.ChoiceFilter(choices=Budget.Scope.choices)
    scope_value = filters.CharFilter()
    period = filters.ChoiceFilter(choices=Budget.Period.choices)
    is_hard = Flag()
    is_active = Flag()

    class Meta:
        model = Budget
        fields: tuple[str, ...] = ()


@extend_schema(tags=["limits"])
class Budgets(Idempotent, mixins.ListModelMixin, viewsets.GenericViewSet[Budget]):
    """The company's budgets, with their present windows."""

    permission_classes = (IsAuthenticated, HasScope)
    scopes = {"GET": "usage:read", **dict.fromkeys(("POST", "PUT", "PATCH", "DELETE"), MANAGE)}
    queryset = Budget.rows.none()
    serializer_class = shapes.BudgetShape
    filterset_class = BudgetFilters
    ordering_fields = {name: name for name in ("id", "scope", "period", "created_at")}
    lookup_value_regex = r"[0-9]{1,18}"

    def get_queryset(self) -> QuerySet[Budget]:
        return selectors.budgets_of(caller_of(self.request))

    def _budget(self) -> Budget:
        found = self.get_queryset().filter(pk=int(self.kwargs["pk"])).first()
        if found is None:
            raise NotFound
        return found

    def _shown(self) -> dict[str, Any]:
        return shapes.shown([self._budget()])[0]

    @extend_schema(responses=shapes.BudgetShape(many=True))
    def list(self, request: Request) -> Response:
        """The budgets, those included that every company has; who is bound to brands sees theirs."""
        limits.provide_defaults(caller_of(request).company_id)
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(shapes.shown(list(page or [])))

    @extend_schema(responses=shapes.BudgetShape)
    def retrieve(self, request: Request, pk: str) -> Response:
        """A budget."""
        return Response(self._shown())

    @extend_schema(request=shapes.NewBudget, responses={201: shapes.BudgetShape})
    def create(self, request: Request) -> Response:
        """Make a budget: hard (it refuses) or soft (it only counts and alerts); one of each kind."""
        asked, caller = read(shapes.NewBudget, request.data), caller_of(request)
        if bound_brands(caller) is not None:
            raise Forbidden("Budgets are made by those who may enter all brands.")
        with trail.change(request, "budget.create") as change:
            row = budget_changes.make(caller.company_id, asked)
            change.about(row)
        self.kwargs["pk"] = row.pk
        return Response(self._shown(), status=status.HTTP_201_CREATED)

    @extend_schema(request=shapes.ChangedBudget, responses=shapes.BudgetShape)
    def update(self, request: Request, pk: str) -> Response:
        """Change a limit, or hard and soft: what is absent stays.

        A limit that is cut below what is used and held stops nothing that runs; `over` tells by how much.
        """
        row = self._budget()
        shape = shapes.ChangedBudget(data=request.data, context={"row": row})
        shape.is_valid(raise_exception=True)
        with trail.change(request, "budget.change", row):
            budget_changes.change(row, dict(shape.validated_data))
        return Response(self._shown())

    @extend_schema(request=shapes.ChangedBudget, responses=shapes.BudgetShape)
    def partial_update(self, request: Request, pk: str) -> Response:
        """The same as PUT."""
        return self.update(request, pk)

    @extend_schema(
        responses={204: OpenApiResponse(description="Deleted with its windows.")},
        extensions=named(Conflict),
    )
    def destroy(self, request: Request, pk: str) -> Response:
        """Delete a budget; one that every company has can only be switched off."""
        row = self._budget()
        with trail.change(request, "budget.delete", row, object_id=row.pk):
            budget_changes.delete(row)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(responses=shapes.WindowShape(many=True), filters=False)
    @action(detail=True, filter_backends=())
    def windows(self, request: Request, pk: str) -> Response:
        """Every window of a budget, the latest first."""
        refuse_unknown(request.query_params, OF_PAGES, in_query=True)
        budget = self._budget()
        page = self.paginate_queryset(cast(Any, selectors.windows_of(budget)))
        return self.get_paginated_response([shapes.window_of(budget, row) for row in page or []])
