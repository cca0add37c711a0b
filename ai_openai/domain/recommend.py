"""``POST /ai/openai/recommend_model/``: which model fits a task, and why. Pure.

Every candidate gets a mark from 0 to 1 for quality, cost, speed and reasoning; the caller's weights say
how much each counts, and what the company's own jobs came to (their success rate) scales the whole.
"""

from __future__ import annotations

from dataclasses import dataclass

from ai_providers.domain.spec import ModelSpec

QUALITY = {"basic": 0.25, "good": 0.5, "high": 0.75, "highest": 1.0}
#: The catalogue's words, where the company has measured nothing.
SPEED = {"slow": 0.25, "medium": 0.6, "fast": 1.0}
#: So many tokens a second, measured, are as fast as anybody needs.
FAST_TOKENS_PER_SECOND = 100.0
#: From so many jobs on, what was measured counts.
ENOUGH_JOBS = 3


@dataclass(frozen=True, slots=True)
class Weights:
    """What the caller asks for, each from 0 to 1."""

    complexity: float
    budget: float
    quality: float
    speed: float

    def as_dict(self) -> dict[str, float]:
        """By the mark that each weighs; all alike when none counts."""
        found = {
            "quality": self.quality,
            "cost": self.budget,
            "speed": self.speed,
            "reasoning": self.complexity,
        }
        return found if any(found.values()) else dict.fromkeys(found, 1.0)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that may be called: its row, the estimate for the task, and what was measured of it."""

    spec: ModelSpec
    cost_nano_usd: int
    seconds: float | None
    jobs: int
    success_rate: float | None
    tokens_per_second: float | None

    @property
    def is_measured(self) -> bool:
        return self.jobs >= ENOUGH_JOBS


@dataclass(frozen=True, slots=True)
class Ranked:
    """A candidate with its marks and its score."""

    candidate: Candidate
    marks: dict[str, float]
    score: float


def rank(candidates: list[Candidate], weights: Weights) -> list[Ranked]:
    """The candidates, the best first; of equals the cheaper, then by name."""
    if not candidates:
        return []
    dearest = max(candidate.cost_nano_usd for candidate in candidates)
    found = [_ranked(candidate, weights.as_dict(), dearest) for candidate in candidates]
    return sorted(found, key=lambda r: (-r.score, r.candidate.cost_nano_usd, r.candidate.spec.id))


def _ranked(candidate: Candidate, weights: dict[str, float], dearest: int) -> Ranked:
    marks = {
        "quality": QUALITY[candidate.spec.profile.quality],
        # The square root keeps the cheap apart from each other beside one that is very dear.
        "cost": 1 - (candidate.cost_nano_usd / dearest) ** 0.5 if dearest else 1.0,
        "speed": _speed(candidate),
        "reasoning": QUALITY[candidate.spec.profile.quality]
        * (1.0 if candidate.spec.is_reasoning else 0.6),
    }
    total = sum(weights.values())
    score = sum(marks[name] * weight for name, weight in weights.items()) / total
    if candidate.is_measured and candidate.success_rate is not None:
        score *= candidate.success_rate
    return Ranked(candidate, {name: round(mark, 4) for name, mark in marks.items()}, round(score, 4))


def _speed(candidate: Candidate) -> float:
    if candidate.is_measured and candidate.tokens_per_second is not None:
        return min(1.0, candidate.tokens_per_second / FAST_TOKENS_PER_SECOND)
    return SPEED[candidate.spec.profile.speed]


def confidence(ranked: list[Ranked]) -> float:
    """0.5 when the next one is as good, 1.0 when it is worth nothing or there is none."""
    if len(ranked) < 2 or not ranked[0].score:
        return 1.0 if ranked else 0.0
    return round(0.5 + 0.5 * (1 - ranked[1].score / ranked[0].score), 2)


def trade_offs(best: Candidate, other: Candidate) -> list[str]:
    """How another model differs, in codes: cheaper, dearer, better, weaker, faster, slower."""
    found = []
    if other.cost_nano_usd != best.cost_nano_usd:
        found.append("cheaper" if other.cost_nano_usd < best.cost_nano_usd else "dearer")
    difference = QUALITY[other.spec.profile.quality] - QUALITY[best.spec.profile.quality]
    if difference:
        found.append("better" if difference > 0 else "weaker")
    faster = _speed(other) - _speed(best)
    if faster:
        found.append("faster" if faster > 0 else "slower")
    return found or ["alike"]


def savings(best: Candidate, other: Candidate) -> str | None:
    """``65%`` of the cost; None when it costs no less, or nothing is known to compare with."""
    if other.cost_nano_usd >= best.cost_nano_usd:
        return None
    return f"{round(100 * (1 - other.cost_nano_usd / best.cost_nano_usd))}%"
