"""``POST /ai/jobs/validate/``: the shapes of a dry run."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import exceptions, serializers
from rest_framework.request import Request

from ai_core.api import orders
from ai_core.api.outcomes import WarningsField
from ai_core.api.serializers import NewJob
from ai_core.services import preview
from ai_core.services.preview import Preview
from ai_usage.models import Budget
from megahub.kernel import refusals, surfaces
from megahub.kernel.drf import normalise
from megahub.kernel.errors import HubError
from megahub.kernel.requests import error_body, say
from megahub.kernel.shapes import read


class TokensShape(serializers.Serializer[Any]):
    """``expected`` is null where no job of one's own tells."""

    least = serializers.IntegerField()
    expected = serializers.IntegerField(allow_null=True)
    most = serializers.IntegerField()


class BothWays(serializers.Serializer[Any]):
    input = TokensShape()
    output = TokensShape()


class CostShape(serializers.Serializer[Any]):
    """In whole USD; ``most`` is what would be held. Null where the model has no price."""

    least = serializers.CharField(allow_null=True)
    expected = serializers.CharField(allow_null=True)
    most = serializers.CharField()


class EstimateShape(serializers.Serializer[Any]):
    """``measured_jobs``: on how many of the company's own jobs what is expected rests."""

    tokens = BothWays()
    cost_usd = CostShape()
    priced = serializers.BooleanField()
    measured_jobs = serializers.IntegerField()


@extend_schema_field({"oneOf": [{"type": "string"}, {"type": "integer"}]})
class AmountField(serializers.Field[Any, Any, Any, Any]):
    """A decimal text of USD, or a whole number of tokens or jobs."""


class RoomShape(serializers.Serializer[Any]):
    """What a budget would say: ``requested`` is what would be held of what is ``remaining``."""

    scope = serializers.ChoiceField(choices=Budget.Scope.values)
    scope_value = serializers.CharField(allow_null=True)
    period = serializers.ChoiceField(choices=Budget.Period.values)
    unit = serializers.ChoiceField(choices=("usd", "tokens", "jobs"))
    is_hard = serializers.BooleanField()
    limit = AmountField()
    spent = AmountField()
    reserved = AmountField()
    remaining = AmountField()
    requested = AmountField()
    fits = serializers.BooleanField()


_, ERROR = refusals.SURFACES[surfaces.megahub]
REFUSAL = {
    **ERROR,
    "nullable": True,
    "required": ["status", *ERROR["required"]],
    "properties": {"status": {"type": "integer"}, **ERROR["properties"]},
}


@extend_schema_field(REFUSAL)
class RefusalField(serializers.DictField):
    """The body of a refusal, with its status."""


class PreviewShape(serializers.Serializer[Any]):
    """``valid``: the parameters are right; ``would_be_accepted``: and every budget has room.

    ``error`` is the body that ``POST /ai/jobs/`` would have answered, with its ``status``.
    """

    valid = serializers.BooleanField()
    would_be_accepted = serializers.BooleanField()
    errors = serializers.DictField(  # type: ignore[assignment]  # DRF's own attribute of that name
        child=serializers.ListField(child=serializers.CharField())
    )
    error = RefusalField(allow_null=True)
    job_type = serializers.CharField(allow_null=True)
    model = serializers.CharField(allow_null=True)
    provider = serializers.CharField(allow_null=True)
    is_async = serializers.BooleanField(allow_null=True)
    sandbox = serializers.BooleanField(allow_null=True)
    params = serializers.DictField(allow_null=True)
    estimate = EstimateShape(allow_null=True)
    budgets = RoomShape(many=True, allow_null=True)
    warnings = WarningsField(allow_null=True)


def previewed(request: Request) -> dict[str, Any]:
    """The dry run of a request; what is wrong with it is told, not raised."""
    try:
        order = orders.order_of(request, read(NewJob, request.data))
        return _seen(request, preview.of(order))
    except (HubError, exceptions.ValidationError) as error:
        found = normalise(error)
        assert found is not None
        nothing = dict.fromkeys(PreviewShape().fields)
        body = error_body(request._request, found)
        errors = body.get("field_errors") or {name: [body["detail"]] for name in _at_fault(found)}
        return {
            **nothing,
            "valid": False,
            "would_be_accepted": False,
            "errors": errors,
            "error": {"status": found.status, **body},
        }


def _at_fault(error: HubError) -> list[str]:
    return list(error.facts.get("invalid_params") or [error.param or "non_field_errors"])


def _seen(request: Request, found: Preview) -> dict[str, Any]:
    job, raw = found.job, request._request
    refused = found.refusal
    return {
        "valid": True,
        "would_be_accepted": refused is None,
        "errors": {},
        "error": None if refused is None else {"status": refused.status, **error_body(raw, refused)},
        "job_type": job.order.job_type,
        "model": job.terms.spec.id,
        "provider": job.terms.spec.provider,
        "is_async": job.is_async,
        "sandbox": job.terms.is_sandbox,
        "params": {"model": job.terms.spec.id, **job.call.params},
        "estimate": found.estimate,
        "budgets": [room.as_data() for room in found.rooms],
        "warnings": [{**warning, "message": say(raw, warning["message"])} for warning in found.warnings],
    }
