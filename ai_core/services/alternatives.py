"""What a budget's refusal advises: models, or a smaller answer, that would fit what is left."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from ai_core.services.accept import subject_of
from ai_core.services.job import Job
from ai_providers import selectors as providers
from ai_providers.domain import pricing
from ai_providers.domain.params import LIMITS
from ai_providers.domain.pricing import Estimate
from ai_providers.domain.tokens import most_input
from ai_providers.selectors import Offer
from ai_usage.domain.budgets import Limit, Subject
from ai_usage.services import limits, room
from ai_usage.services.room import Windows
from megahub.kernel import clock
from megahub.kernel.errors import (
    CostLimitExceeded,
    HubError,
    O3BudgetExceeded,
    QuotaExceeded,
    ReasoningQuotaExceeded,
)
from megahub.kernel.text import Text
from megahub.tenancy.selectors import Caller

ADVISED = (CostLimitExceeded, O3BudgetExceeded, QuotaExceeded, ReasoningQuotaExceeded)
MOST = 3
#: An answer of fewer tokens is no answer.
LEAST_OUTPUT_TOKENS = 16
QUALITIES = ("basic", "good", "high", "highest")


@dataclass(frozen=True, slots=True)
class Budgets:
    """A company's budgets and their open windows at a moment."""

    limits: tuple[Limit, ...]
    windows: Windows
    moment: datetime

    @classmethod
    def read(cls, caller: Caller) -> Budgets:
        """As they are now. Reads rows."""
        moment, zone, own = clock.now(), caller.timezone, limits.fresh(caller.company_id)
        return cls(own, room.open_windows(own, moment, zone), moment)

    def rooms(self, subject: Subject, estimate: Estimate) -> list[room.Room]:
        """What each of them would say to a job."""
        amounts = estimate.usd_nano, estimate.tokens
        return room.rooms(self.limits, self.windows, subject, self.moment, *amounts)

    def have_room(self, subject: Subject, estimate: Estimate) -> bool:
        return all(found.fits for found in self.rooms(subject, estimate))


def advise(error: HubError, job: Job) -> HubError:
    """The refusal with ``alternatives`` and ``suggestions``; any other error as it is. Reads rows."""
    if not isinstance(error, ADVISED):
        return error
    budgets = Budgets.read(job.order.caller)
    models = models_that_fit(job, budgets)
    error.facts["alternatives"] = models
    advice: list[str] = [Text("Use {model} for cost optimization", model=models[0])] if models else []
    tokens = output_that_fits(job, budgets)
    if tokens is not None:
        name = next((n for n in LIMITS if n in job.call.params), job.terms.spec.output_limit_param)
        advice.append(Text("Reduce {param} to {limit} or less", param=name, limit=tokens))
    error.suggestions = advice
    return error


def models_that_fit(job: Job, budgets: Budgets) -> list[str]:
    """Callable models whose estimate for this request fits: of the same provider first, the best first."""
    fitting = []
    incoming = most_input(job.call.params)
    own = job.terms.spec
    for offer in providers.offers(job.company_id):
        spec = offer.spec
        too_long = spec.context_window is not None and incoming > spec.context_window
        if spec.kind != job.call.endpoint or spec.id == own.id or too_long:
            continue
        outgoing = pricing.output_bound(spec, job.call.params)
        estimate = pricing.estimate_of(incoming, outgoing, offer.price, offer.rate)
        if budgets.have_room(_subject(offer, job), estimate):
            quality = QUALITIES.index(spec.profile.quality)
            fitting.append((spec.provider != own.provider, -quality, estimate.usd_nano, spec.id))
    return [model for *_, model in sorted(fitting)[:MOST]]


def output_that_fits(job: Job, budgets: Budgets) -> int | None:
    """The most output tokens with which the same request would fit; None when none would be of use."""
    spec, terms, choices = job.terms.spec, job.terms, int(job.call.params.get("n") or 1)
    subject = subject_of(job)
    incoming = pricing.input_bound(spec, job.call.params)
    asked = pricing.output_bound(spec, job.call.params) // choices

    def fits(tokens: int) -> bool:
        estimate = pricing.estimate_of(incoming, tokens * choices, terms.price, terms.rate)
        return budgets.have_room(subject, estimate)

    if spec.kind != "chat" or not fits(LEAST_OUTPUT_TOKENS):
        return None
    low, high = LEAST_OUTPUT_TOKENS, asked
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low if low < asked else None


def _subject(offer: Offer, job: Job) -> Subject:
    return replace(
        subject_of(job),
        provider=offer.spec.provider,
        model=offer.spec.id,
        model_name=offer.spec.profile.name,
        is_reasoning=offer.spec.is_reasoning,
        sandbox=offer.is_sandbox,
    )
