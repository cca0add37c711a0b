"""Models beside each other: what each cost, how long it took, how often it succeeded. Pure.

Everything is measured on the company's own jobs, but for what a model is recommended for, which is the
catalogue's word. Points run from 0 to 10.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ai_usage.domain.analytics import Tally, Told, average_nano_per_token, best, cost_efficiency, negative

#: By which figure a comparison is ordered, the best first.
METRICS: dict[str, Callable[[Line], float | None]] = {
    "cost_efficiency": lambda line: line.cost_efficiency,
    "quality_score": lambda line: line.tally.quality,
    "success_rate": lambda line: line.tally.success_rate,
    "jobs_count": lambda line: float(line.tally.jobs),
    "avg_cost_per_job": lambda line: negative(line.tally.avg_cost_nano),
    "avg_execution_time": lambda line: negative(line.tally.avg_seconds),
}


@dataclass(frozen=True, slots=True)
class Known:
    """What the catalogue says of a model."""

    provider: str
    generation: str
    is_reasoning: bool
    recommended_for: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """A model's tally with what the others make of it."""

    tally: Tally
    known: Known | None
    cost_efficiency: float | None
    speed: float | None

    @property
    def model(self) -> str:
        return str(self.tally.keys["model"])

    @property
    def cost_points(self) -> float | None:
        return None if self.cost_efficiency is None else round(10 * self.cost_efficiency, 1)

    @property
    def balance(self) -> float | None:
        """The mean of the points for quality, speed and cost; None unless two of them are known."""
        points = [p for p in (self.tally.quality, self.speed, self.cost_points) if p is not None]
        return sum(points) / len(points) if len(points) > 1 else None


def lines(tallies: list[Tally], known: Mapping[str, Known], average: float | None) -> list[Line]:
    """``average`` is what a token cost over all of the company's models (nano-USD)."""
    fastest = min((t.avg_seconds for t in tallies if t.avg_seconds is not None), default=None)
    return [
        Line(
            tally,
            known.get(tally.keys["model"]),
            cost_efficiency(tally.nano_per_token, average),
            _speed(tally, fastest),
        )
        for tally in tallies
    ]


def _speed(tally: Tally, fastest: float | None) -> float | None:
    """10 for the fastest, 5 for one that takes twice as long."""
    if tally.avg_seconds is None or fastest is None:
        return None
    return round(10 * fastest / tally.avg_seconds, 1) if tally.avg_seconds else 10.0


def comparison(found: list[Line], metric: str, days: int) -> Told:
    """``GET /ai/usage/model_comparison/``."""
    figure = METRICS[metric]
    ordered = sorted(found, key=lambda line: (figure(line) is None, -(figure(line) or 0), line.model))
    used = [line for line in found if line.tally.jobs]
    plain = [line for line in used if line.known is not None and not line.known.is_reasoning]
    thinking = [line for line in used if line.known is not None and line.known.is_reasoning]
    return {
        "comparison_period": f"{days} days",
        "models_analyzed": [line.model for line in found],
        "metric": metric,
        "metrics_comparison": [_told(line) for line in ordered],
        "recommendations": {
            "most_cost_effective": _best(used, lambda line: line.cost_efficiency),
            "highest_quality": _best(used, lambda line: line.tally.quality),
            "best_balance": _best(used, lambda line: line.balance),
            "fastest": _best(used, lambda line: negative(line.tally.avg_seconds)),
        },
        "usage_optimization": {
            "simple_tasks": _best(plain, lambda line: line.cost_efficiency),
            "reasoning_tasks": _best(thinking, lambda line: line.cost_efficiency),
            "complex_analysis": _best(used, lambda line: line.tally.quality),
            "creative_content": _best(plain, lambda line: line.tally.quality),
        },
    }


def _best(found: list[Line], figure: Callable[[Line], float | None]) -> str | None:
    by_model = {line.model: line for line in found}
    return best((line.tally for line in found), lambda tally: figure(by_model[tally.keys["model"]]))


def _told(line: Line) -> Told:
    tally, known = line.tally, line.known
    return {
        "model": line.model,
        "provider": tally.keys.get("provider") or (known.provider if known else None),
        "generation": tally.keys.get("generation") or (known.generation if known else None),
        "jobs_count": tally.jobs,
        "avg_cost_per_job": tally.avg_cost,
        "avg_execution_time": tally.avg_seconds,
        "success_rate": tally.success_rate,
        "quality_score": tally.quality,
        "cost_efficiency": line.cost_efficiency,
        "recommended_for": list(known.recommended_for) if known else [],
        "performance_profile": {
            "reasoning_quality": tally.quality,
            "speed": line.speed,
            "cost_effectiveness": line.cost_points,
        },
    }


def efficiency(models: list[Tally], known: Mapping[str, Known]) -> Told:
    """``GET /ai/usage/efficiency/``: every model that was used, the most efficient first."""
    found = lines(models, known, average_nano_per_token(models))
    order = sorted(found, key=lambda each: (_score(each) is None, -(_score(each) or 0), each.model))
    return {
        "models_comparison": [_efficiency_line(line, found) for line in order],
        "overall_insights": {
            "most_efficient_model": _best(found, _score),
            "most_cost_effective": _best(found, lambda line: line.cost_efficiency),
            "fastest": _best(found, lambda line: negative(line.tally.avg_seconds)),
            "most_reliable": _best(found, lambda line: line.tally.success_rate),
            "highest_quality": _best(found, lambda line: line.tally.quality),
            "unpriced_jobs": sum(line.tally.unpriced for line in found),
        },
    }


def _score(line: Line) -> float | None:
    """Cost efficiency times success rate, 0 to 1: what failed was paid for nothing."""
    if line.cost_efficiency is None or line.tally.success_rate is None:
        return None
    return round(line.cost_efficiency * line.tally.success_rate, 4)


def _efficiency_line(line: Line, others: list[Line]) -> Told:
    tally = line.tally
    return {
        "model": line.model,
        "provider": tally.keys["provider"],
        "metrics": {
            "jobs": tally.jobs,
            "cost": tally.cost,
            "avg_cost_per_job": tally.avg_cost,
            "avg_tokens": tally.avg_tokens,
            "avg_execution_time": tally.avg_seconds,
            "success_rate": tally.success_rate,
            "quality_score": tally.quality,
            "cost_efficiency": line.cost_efficiency,
        },
        "efficiency_score": _score(line),
        "recommendations": _advice(line, others),
    }


#: From how many jobs on a model's figures are advice, not chance.
ENOUGH_JOBS = 20
FAILING_BELOW, TWICE = 0.95, 2.0


def _advice(line: Line, others: list[Line]) -> list[Told]:
    """Codes with what they rest on; a client says them in its own words."""
    tally, advice = line.tally, []
    if tally.jobs < ENOUGH_JOBS:
        return []
    if tally.success_rate is not None and tally.success_rate < FAILING_BELOW:
        advice.append({"code": "investigate_failures", "success_rate": tally.success_rate, "model": None})
    for other in others:
        better = other.tally.jobs >= ENOUGH_JOBS and (other.tally.success_rate or 0) >= (
            tally.success_rate or 0
        )
        own, its = tally.nano_per_token, other.tally.nano_per_token
        if better and own is not None and its is not None and own >= TWICE * its and own > 0:
            share = round(100 * (own - its) / own, 1)
            advice.append({"code": "try_cheaper_model", "model": other.model, "saves_percentage": share})
    return advice
