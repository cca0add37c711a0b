"""From figures to alerts: thresholds, what they are compared with, and what is said.

Defaults: reference/megahub-shapes.md. A budget is compared with its limit in its window; everything
else is a calendar day of the company's own, compared with the seven days before it. What rests on
too little data raises nothing. Figures of the sandbox and real ones are never compared or added.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

from megahub.kernel import money
from megahub.kernel.text import Text

#: Thresholds by type: a share of the limit; a multiple of the mean; a share of jobs; seconds; a multiple.
DEFAULTS: dict[str, Decimal] = {
    "quota_warning": Decimal("0.8"),
    "quota_critical": Decimal("0.95"),
    "quota_exceeded": Decimal(1),
    "cost_warning": Decimal("0.8"),
    "cost_exceeded": Decimal(1),
    "daily_spike": Decimal(3),
    "high_failure_rate": Decimal("0.05"),
    "slow_execution": Decimal(30),
    "high_cost_deviation": Decimal(2),
    "unusual_usage": Decimal(3),
}
SEVERITIES = {
    "quota_critical": "critical",
    "quota_exceeded": "critical",
    "cost_exceeded": "critical",
    "unusual_usage": "info",
}
QUOTA = ("quota_warning", "quota_critical", "quota_exceeded")
COST = ("cost_warning", "cost_exceeded")
#: A day or a mean of fewer jobs says nothing.
LEAST_JOBS = 10
LEAST_DAYS = 3
DAYS_BEFORE = 7
SIX_PLACES = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class BudgetState:
    """A budget's open window: ``spent`` and ``limit`` in the budget's unit."""

    id: int
    scope: str
    scope_value: str
    period: str
    unit: str
    limit: int
    spent: int
    starts_on: date
    sandbox: bool

    @property
    def types(self) -> tuple[str, ...]:
        """The alerts of a quota (as QUOTA_EXCEEDED refuses for it) or of a budget of costs."""
        return QUOTA if self.unit != "nano_usd" or self.scope == "provider" else COST

    def show(self, amount: int) -> str:
        """An amount of the unit, for people."""
        return f"{money.show(amount)} USD" if self.unit == "nano_usd" else f"{amount} {self.unit}"


@dataclass(frozen=True, slots=True)
class Line:
    """What ended jobs of one model used in a span of days; ``ms`` is the time of the ``timed`` ones.

    ``cost`` in nano-USD leaves out what has no price yet.
    """

    provider: str
    model: str
    sandbox: bool
    jobs: int = 0
    failed: int = 0
    timed: int = 0
    ms: int = 0
    cost: int = 0


@dataclass(frozen=True, slots=True)
class Figures:
    """All that is looked at. ``active_days``: days before with jobs, the real ones and the sandbox's."""

    day: date
    budgets: tuple[BudgetState, ...] = ()
    today: tuple[Line, ...] = ()
    before: tuple[Line, ...] = ()
    active_days: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Finding:
    """A threshold that is passed. ``is_news``: it is to be raised, unless it was in this window."""

    alert_type: str
    subject: str
    window_start: date
    sandbox: bool
    threshold: Decimal
    current: Decimal
    message: Text
    provider: str = ""
    is_news: bool = True
    budget: BudgetState | None = None

    @property
    def key(self) -> tuple[str, str, date, bool]:
        """What an alert is one of."""
        return self.alert_type, self.subject, self.window_start, self.sandbox

    @property
    def severity(self) -> str:
        return SEVERITIES.get(self.alert_type, "warning")


def findings(figures: Figures, thresholds: dict[str, Decimal]) -> list[Finding]:
    """Every threshold that is passed; a type without a threshold is not looked at."""
    found = [each for budget in figures.budgets for each in _of_budget(budget, thresholds)]
    for sandbox in (False, True):
        today = [line for line in figures.today if line.sandbox is sandbox]
        before = [line for line in figures.before if line.sandbox is sandbox]
        seen = [
            *_against_the_mean(today, before, figures.active_days[sandbox]),
            *_of_providers(today),
            *_of_models(today, before),
        ]
        for kind, subject, current, message, provider in seen:
            threshold = thresholds.get(kind)
            if threshold is not None and current > threshold:
                where = (figures.day, sandbox)
                found.append(Finding(kind, subject, *where, threshold, _six(current), message, provider))
    return found


def _of_budget(budget: BudgetState, thresholds: dict[str, Decimal]) -> Iterator[Finding]:
    """The thresholds that a window has reached; only the highest is news (one message, not three)."""
    if budget.limit <= 0:
        return
    used = Decimal(budget.spent) / budget.limit
    reached = [name for name in budget.types if name in thresholds and used >= thresholds[name]]
    highest = max(reached, key=lambda name: thresholds[name], default=None)
    for name in reached:
        message = Text(
            "Budget {budget} ({scope}, {period}): {spent} of {limit} used, {percent} %.",
            budget=budget.id,
            scope=" ".join(filter(None, (budget.scope, budget.scope_value))),
            period=budget.period,
            spent=budget.show(budget.spent),
            limit=budget.show(budget.limit),
            percent=_plain(used * 100, 1),
        )
        yield Finding(
            name,
            f"budget:{budget.id}",
            budget.starts_on,
            budget.sandbox,
            thresholds[name],
            _six(used),
            message,
            provider=budget.scope_value if budget.scope == "provider" else "",
            is_news=name == highest,
            budget=budget,
        )


#: What can be said of a day: type, subject, figure, words, provider.
Seen = tuple[str, str, Decimal, Text, str]


def _against_the_mean(today: list[Line], before: list[Line], days: int) -> Iterator[Seen]:
    """The day's costs and number of jobs against the mean of the days before on which there were any."""
    jobs, jobs_before = sum(line.jobs for line in today), sum(line.jobs for line in before)
    if days < LEAST_DAYS or jobs < LEAST_JOBS or not jobs_before:
        return
    spent, spent_before = sum(line.cost for line in today), sum(line.cost for line in before)
    if spent_before:
        ratio = Decimal(spent) * days / spent_before
        yield "daily_spike", "company", ratio, _spike(spent, spent_before // days, ratio), ""
    ratio = Decimal(jobs) * days / jobs_before
    words = Text(
        "{jobs} jobs today, {ratio} times the daily mean of {mean}.",
        jobs=jobs,
        ratio=_plain(ratio, 1),
        mean=_plain(Decimal(jobs_before) / days, 1),
    )
    yield "unusual_usage", "company", ratio, words, ""


def _of_providers(today: list[Line]) -> Iterator[Seen]:
    """How many of a provider's jobs failed, and how long they took."""
    for provider, lines in _grouped(today):
        jobs = sum(line.jobs for line in lines)
        failed, timed = sum(line.failed for line in lines), sum(line.timed for line in lines)
        if jobs >= LEAST_JOBS:
            rate = Decimal(failed) / jobs
            words = Text(
                "{failed} of {jobs} jobs of {provider} failed today ({percent} %).",
                failed=failed,
                jobs=jobs,
                provider=provider,
                percent=_plain(rate * 100, 1),
            )
            yield "high_failure_rate", provider, rate, words, provider
        if timed >= LEAST_JOBS:
            seconds = Decimal(sum(line.ms for line in lines)) / 1000 / timed
            words = Text(
                "Jobs of {provider} took {seconds} s on average today.",
                provider=provider,
                seconds=_plain(seconds, 1),
            )
            yield "slow_execution", provider, seconds, words, provider


def _of_models(today: list[Line], before: list[Line]) -> Iterator[Seen]:
    """What a job of a model costs, against what it cost in the days before."""
    known = {(line.provider, line.model): line for line in before}
    for line in today:
        then = known.get((line.provider, line.model))
        if then is None or min(then.jobs, line.jobs) < LEAST_JOBS or not then.cost:
            continue
        ratio = Decimal(line.cost) * then.jobs / (Decimal(then.cost) * line.jobs)
        words = Text(
            "A job of {model} costs {ratio} times what it did in the seven days before.",
            model=line.model,
            ratio=_plain(ratio, 1),
        )
        yield "high_cost_deviation", line.model, ratio, words, line.provider


def _spike(spent: int, mean: int, ratio: Decimal) -> Text:
    return Text(
        "{spent} USD spent today, {ratio} times the daily mean of {mean} USD.",
        spent=money.show(spent),
        ratio=_plain(ratio, 1),
        mean=money.show(mean),
    )


def _grouped(lines: Iterable[Line]) -> list[tuple[str, list[Line]]]:
    found: dict[str, list[Line]] = {}
    for line in lines:
        found.setdefault(line.provider, []).append(line)
    return sorted(found.items())


def _six(value: Decimal) -> Decimal:
    return value.quantize(SIX_PLACES)


def _plain(value: Decimal, places: int) -> str:
    """A figure for people: ``12.5``, ``100``."""
    text = f"{value.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
