"""``/ai/alerts/``: a company's alerts and its thresholds."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status, viewsets
from rest_framework.decorators import action
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from ai_usage.api import alert_filters as filters
from ai_usage.api import alert_shapes as shapes
from ai_usage.models import AIUsageAlert, AlertRule
from ai_usage.services import alert_mail, alert_rules, alerts, evaluation
from megahub.kernel import clock, trail
from megahub.kernel.errors import NotFound
from megahub.kernel.shapes import refuse_unknown
from megahub.tenancy.authentication import HasScope, caller_of
from megahub.tenancy.models import Company
from megahub.tenancy.replaying import Idempotent

READ, MANAGE, RULES = "usage:read", "alerts:manage", "alerts:rules"
QUOTA_TYPES = {"quota_warning", "quota_critical", "quota_exceeded"}
COST_TYPES = {"cost_warning", "cost_exceeded", "daily_spike", "high_cost_deviation"}
FAILURE_TYPES = {
    "high_failure_rate",
    "slow_execution",
    "evaluator_failed",
    "webhook_disabled",
    "ledger_off",
    "rollup_off",
}
#: A page that shows the active ones shows the newest of these.
SHOWN_AT_ONCE = 200


def _checked(shape: type, request: Request) -> dict[str, Any]:
    serializer = shape(data=request.data)
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


@extend_schema(tags=["alerts"])
class Alerts(Idempotent, mixins.ListModelMixin, viewsets.GenericViewSet[AIUsageAlert]):
    """The company's alerts, the newest first."""

    permission_classes = (IsAuthenticated, HasScope)
    scopes = {"GET": READ, "POST": MANAGE, "PUT": MANAGE}
    queryset = AIUsageAlert.rows.none()
    serializer_class = shapes.AlertShape
    filterset_class = filters.AlertFilters
    ordering_fields = filters.ORDERING
    lookup_value_regex = r"[0-9]{1,18}"
    without = {
        "resolve": "one that is resolved stays as it was",
        "check_alerts": "a threshold gives one alert per window, however often it is checked",
    }

    def get_queryset(self) -> QuerySet[AIUsageAlert]:
        rows: QuerySet[AIUsageAlert] = AIUsageAlert.objects.of(caller_of(self.request).company_id)
        return rows.select_related("company").order_by("-created_at", "-pk")

    def _active(self) -> QuerySet[AIUsageAlert]:
        return self.get_queryset().filter(is_resolved=False)

    @extend_schema(responses=shapes.AlertShape)
    def retrieve(self, request: Request, pk: str) -> Response:
        """One alert, open or resolved."""
        found = self.get_queryset().filter(pk=int(pk)).first()
        if found is None:
            raise NotFound
        return Response(shapes.AlertShape(found).data)

    @extend_schema(request=shapes.NewAlert, responses={201: shapes.AlertShape})
    def create(self, request: Request) -> Response:
        """Make an alert by hand; it is mailed and told to webhooks like any other."""
        asked = _checked(shapes.NewAlert, request)
        with trail.change(request, "alert.create") as change:
            row = alerts.raise_by_hand(caller_of(request).company_id, asked)
            change.about(row)
        return Response(shapes.AlertShape(row).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=shapes.Resolution, responses=shapes.Resolved)
    @action(detail=True, methods=["put", "post"])
    def resolve(self, request: Request, pk: str) -> Response:
        """Resolve an alert, with a note; one that is resolved stays as it was."""
        note = _checked(shapes.Resolution, request)["resolution_note"]
        found = self.get_queryset().filter(pk=int(pk)).first()
        if found is None:
            raise NotFound
        with trail.change(request, "alert.resolve", found):
            row = alerts.resolve(caller_of(request).company_id, int(pk), note)
        told = {"id": row.pk, "is_resolved": row.is_resolved, "resolved_at": clock.iso(row.resolved_at)}
        return Response({"message": "Alert resolved successfully", "alert": told})

    @extend_schema(responses=shapes.Active, filters=False)
    @action(detail=False, methods=["get"], filter_backends=(), pagination_class=None)
    def active(self, request: Request) -> Response:
        """The alerts that are open, and how many there are of each kind."""
        refuse_unknown(request.query_params, (), in_query=True)
        types = list(self._active().order_by().values_list("alert_type", flat=True))
        summary = {
            "quota_warnings": sum(each in QUOTA_TYPES for each in types),
            "cost_warnings": sum(each in COST_TYPES for each in types),
            "failure_alerts": sum(each in FAILURE_TYPES for each in types),
        }
        shown = shapes.ShortAlert(self._active()[:SHOWN_AT_ONCE], many=True).data
        return Response({"count": len(types), "alerts": shown, "summary": summary})

    @extend_schema(request=None, responses=shapes.CheckedAlerts)
    @action(detail=False, methods=["post"])
    def check_alerts(self, request: Request) -> Response:
        """Check the figures now; a threshold gives one alert per window, however often it is checked."""
        company = Company.objects.get(pk=caller_of(request).company_id)
        checked = evaluation.check_or_tell(company)
        sent = alert_mail.write_waiting(company.pk)
        trail.note(request, "alert.check", new_alerts=len(checked.raised), resolved=checked.resolved)
        return Response(
            {
                "checks_performed": checked.performed,
                "new_alerts_created": len(checked.raised),
                "new_alerts_count": len(checked.raised),
                "alerts": shapes.ShortAlert(self._active()[:SHOWN_AT_ONCE], many=True).data,
                "new_alerts": shapes.ShortAlert(checked.raised, many=True).data,
                "notifications_sent": sent,
            }
        )


@extend_schema(tags=["alerts"])
class Rules(viewsets.ViewSet):
    """The company's thresholds."""

    permission_classes = (IsAuthenticated, HasScope)
    scopes = {"GET": READ, "PUT": RULES, "PATCH": RULES, "DELETE": RULES}
    lookup_field = "alert_type"
    lookup_value_regex = r"[a-z_]{1,40}"

    @extend_schema(operation_id="ai_alerts_rules_list", responses=shapes.RuleShape(many=True))
    def list(self, request: Request) -> Response:
        """Every type that has a threshold: the company's own, or the default."""
        refuse_unknown(request.query_params, (), in_query=True)
        rules = alert_rules.rules_of(caller_of(request).company_id)
        return Response(shapes.RuleShape(rules, many=True).data)

    @extend_schema(request=shapes.ChangedRule, responses=shapes.RuleShape)
    def update(self, request: Request, alert_type: str) -> Response:
        """Set a threshold of the company's own, or switch a type off; what is absent stays."""
        asked = _checked(shapes.ChangedRule, request)
        company_id = caller_of(request).company_id
        with trail.change(request, "alert_rule.change", **_rule(company_id, alert_type)):
            rule = alert_rules.set_rule(
                company_id, alert_type, asked.get("threshold"), asked.get("is_active")
            )
        return Response(shapes.RuleShape(rule).data)

    @extend_schema(request=shapes.ChangedRule, responses=shapes.RuleShape)
    def partial_update(self, request: Request, alert_type: str) -> Response:
        """The same as PUT."""
        return self.update(request, alert_type)

    @extend_schema(responses={200: shapes.RuleShape})
    def destroy(self, request: Request, alert_type: str) -> Response:
        """Back to the default."""
        company_id = caller_of(request).company_id
        with trail.change(request, "alert_rule.reset", **_rule(company_id, alert_type)):
            rule = alert_rules.reset_rule(company_id, alert_type)
        return Response(shapes.RuleShape(rule).data)


def _rule(company_id: int, alert_type: str) -> dict[str, Any]:
    """What the audit trail is told of a threshold."""
    return {
        "kind": AlertRule._meta.label_lower,
        "object_id": alert_type,
        "read": lambda: alert_rules.facts_of(company_id, alert_type),
    }
