"""``POST /ai/openai/recommend_model/``."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ai_openai.domain import recommend
from ai_openai.domain.recommend import Ranked, Weights
from ai_openai.services import recommending
from ai_openai.services.recommending import Field
from megahub.kernel import money
from megahub.kernel.shapes import Strict, read
from megahub.tenancy.authentication import HasScope, caller_of
from megahub.tenancy.replaying import Idempotent

ALTERNATIVES = 3


def _weight() -> serializers.FloatField:
    return serializers.FloatField(default=0.5, min_value=0, max_value=1)


class Task(Strict):
    """The weights are from 0 (does not count) to 1; ``budget_constraint`` 1 is as cheap as possible."""

    task_description = serializers.CharField(max_length=100_000)
    complexity_score = _weight()
    budget_constraint = _weight()
    quality_requirement = _weight()
    speed_requirement = _weight()
    expected_output_tokens = serializers.IntegerField(
        required=False, allow_null=True, min_value=1, max_value=1_000_000
    )


class AlternativeShape(serializers.Serializer[Any]):
    model = serializers.CharField()
    trade_offs = serializers.CharField()
    cost_savings = serializers.CharField(allow_null=True)
    estimated_cost = serializers.CharField()
    estimated_time = serializers.CharField(allow_null=True)
    score = serializers.FloatField()


class MarksShape(serializers.Serializer[Any]):
    """From 0 to 1, by what the weights weigh."""

    quality = serializers.FloatField()
    cost = serializers.FloatField()
    speed = serializers.FloatField()
    reasoning = serializers.FloatField()


class ScoresShape(MarksShape):
    """``total`` is their weighted mean, scaled by the success rate that was measured."""

    total = serializers.FloatField()


class BasisShape(serializers.Serializer[Any]):
    """The tokens that the estimate rests on, and what was measured of the model in the last 30 days."""

    input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    output_from = serializers.ChoiceField(
        choices=("given", "measured", "measured_on_other_models", "default_limit")
    )
    measured_jobs = serializers.IntegerField()
    success_rate = serializers.FloatField(allow_null=True)


class ExcludedShape(serializers.Serializer[Any]):
    model = serializers.CharField()
    reason = serializers.ChoiceField(choices=("context_window", "budget"))


class RecommendationShape(serializers.Serializer[Any]):
    """``scores`` and ``estimate_basis`` say what it rests on, ``excluded`` who was left out and why."""

    recommended_model = serializers.CharField(allow_null=True)
    confidence = serializers.FloatField()
    reasoning = serializers.CharField()
    alternatives = AlternativeShape(many=True)
    estimated_cost = serializers.CharField(allow_null=True)
    estimated_time = serializers.CharField(allow_null=True)
    estimated_time_seconds = serializers.FloatField(allow_null=True)
    scores = ScoresShape(allow_null=True)
    estimate_basis = BasisShape(allow_null=True)
    weights = MarksShape()
    excluded = ExcludedShape(many=True)


class RecommendModel(Idempotent, APIView):
    permission_classes = (IsAuthenticated, HasScope)
    scopes = {"POST": "jobs:read"}
    without = {"post": "advice: nothing is made"}

    @extend_schema(
        operation_id="openai_recommend_model", request=Task, responses=RecommendationShape, tags=["openai"]
    )
    def post(self, request: Request) -> Response:
        """The model that fits a task best: prices, profiles, and what the company's own jobs came to."""
        asked = read(Task, request.data)
        weights = Weights(
            complexity=asked["complexity_score"],
            budget=asked["budget_constraint"],
            quality=asked["quality_requirement"],
            speed=asked["speed_requirement"],
        )
        caller = caller_of(request)
        caller.require_brand()
        description, given = asked["task_description"], asked.get("expected_output_tokens")
        field = recommending.gather(caller, description, given)
        return Response(_told(recommend.rank(field.candidates, weights), field, weights))


def _told(ranked: list[Ranked], field: Field, weights: Weights) -> dict[str, Any]:
    told: dict[str, Any] = {"weights": weights.as_dict(), "excluded": field.excluded}
    if not ranked:
        nothing = ("recommended_model", "estimated_cost", "estimated_time", "estimated_time_seconds")
        why = _("No model can be called: none has a key, or no budget has room.")
        return {
            **dict.fromkeys((*nothing, "scores", "estimate_basis")),
            "confidence": 0.0,
            "reasoning": why,
            "alternatives": [],
            **told,
        }
    best = ranked[0]
    candidate = best.candidate
    return {
        "recommended_model": candidate.spec.id,
        "confidence": recommend.confidence(ranked),
        "reasoning": _reasons(best, weights),
        "alternatives": [_alternative(best, other) for other in ranked[1 : ALTERNATIVES + 1]],
        "estimated_cost": money.show(candidate.cost_nano_usd),
        "estimated_time": _time(candidate.seconds),
        "estimated_time_seconds": candidate.seconds,
        "scores": {"total": best.score, **best.marks},
        "estimate_basis": {
            "input_tokens": field.input_tokens,
            "output_tokens": field.output_tokens[candidate.spec.id],
            "output_from": field.output_from[candidate.spec.id],
            "measured_jobs": candidate.jobs,
            "success_rate": candidate.success_rate,
        },
        **told,
    }


def _alternative(best: Ranked, other: Ranked) -> dict[str, Any]:
    codes = recommend.trade_offs(best.candidate, other.candidate)
    return {
        "model": other.candidate.spec.id,
        "trade_offs": ", ".join(_words()[code] for code in codes),
        "cost_savings": recommend.savings(best.candidate, other.candidate),
        "estimated_cost": money.show(other.candidate.cost_nano_usd),
        "estimated_time": _time(other.candidate.seconds),
        "score": other.score,
    }


def _words() -> dict[str, str]:
    return {
        "cheaper": _("lower cost"),
        "dearer": _("higher cost"),
        "better": _("higher quality"),
        "weaker": _("lower quality"),
        "faster": _("faster"),
        "slower": _("slower"),
        "alike": _("about the same"),
        "quality": _("quality"),
        "cost": _("cost"),
        "speed": _("speed"),
        "reasoning": _("reasoning"),
    }


def _reasons(best: Ranked, weights: Weights) -> str:
    """What counted most, and where the figures are from."""
    counted = weights.as_dict()
    parts = sorted(counted, key=lambda name: (-counted[name] * best.marks[name], name))[:2]
    names = " + ".join(_words()[name] for name in parts)
    model = best.candidate.spec.profile.name
    why = _("%(model)s scores best on what counts most here: %(names)s.") % {"model": model, "names": names}
    if best.candidate.is_measured and best.candidate.success_rate is not None:
        words = {"jobs": best.candidate.jobs, "percent": round(100 * best.candidate.success_rate)}
        own = _("Your own %(jobs)d jobs of the last 30 days succeeded in %(percent)d%% of cases.") % words
        return f"{why} {own}"
    return f"{why} " + _("Too few jobs of your own to measure it; this rests on the catalogue.")


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else _("%(seconds)s seconds") % {"seconds": f"{seconds:g}"}
