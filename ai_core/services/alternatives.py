"""What a budget's refusal advises: models, or a smaller answer, that would fit what is left."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from ai_core.services.accept import subject_of
from ai_core.services.job import Job
from ai_providers import selectors as providers
from ai_providers.domain import pricing
from ai_providers.domain.params import LIMITS
from ai_providers.domain.pricing import Estimate
from ai_providers.domain.tokens import most_input
from ai_providers.selectors import Offer, Terms
from ai_usage.domain.budgets import Limit, Subject
from ai_usage.services import limits, room
from ai_usage.services.room import Windows
from megahub.kernel import clock
from megahub.kernel.cache import ShortLived
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
ADVICE_TTL_SECONDS = 1.0
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


@dataclass(frozen=True, slots=True)
class Question:
    """What advice depends on besides the budgets; of a request's texts only their length is kept.

    ``incoming`` bounds the input for any model, ``limits`` are the parameters that bound the output.
    """

    subject: Subject
    endpoint: str
    incoming: int
    limits: tuple[tuple[str, Any], ...]
    caller: Caller = field(compare=False)
    terms: Terms = field(compare=False)

    @classmethod
    def of(cls, job: Job) -> Question:
        params = job.call.params
        limits = tuple((name, params[name]) for name in (*LIMITS, "n") if name in params)
        incoming = most_input(params)
        return cls(subject_of(job), job.call.endpoint, incoming, limits, job.order.caller, job.terms)


@dataclass(frozen=True, slots=True)
class Advice:
    """Models that would fit, and the most output tokens that would."""

    models: list[str]
    tokens: int | None


async def advised(error: HubError, job: Job) -> HubError:
    """``advise`` on the event loop. Whoever asks again and again is told what they were told."""
    return _told(error, job, await _advice.aget(Question.of(job)))


def advise(error: HubError, job: Job) -> HubError:
    """The refusal with ``alternatives`` and ``suggestions``; any other error as it is. Reads rows."""
    return _told(error, job, _work_out(Question.of(job))) if isinstance(error, ADVISED) else error


def _told(error: HubError, job: Job, advice: Advice) -> HubError:
    error.facts["alternatives"] = advice.models
    error.suggestions = []
    if advice.models:
        error.suggestions.append(Text("Use {model} for cost optimization", model=advice.models[0]))
    if advice.tokens is not None:
        name = next((n for n in LIMITS if n in job.call.params), job.terms.spec.output_limit_param)
        text = Text("Reduce {param} to {limit} or less", param=name, limit=advice.tokens)
        error.suggestions.append(text)
    return error


def _work_out(question: Question) -> Advice:
    budgets = Budgets.read(question.caller)
    return Advice(models_that_fit(question, budgets), output_that_fits(question, budgets))


def models_that_fit(question: Question, budgets: Budgets) -> list[str]:
    """Callable models whose estimate for this request fits: of the same provider first, the best first."""
    fitting = []
    own, incoming, params = question.terms.spec, question.incoming, dict(question.limits)
    for offer in providers.offers(question.subject.company_id):
        spec = offer.spec
        too_long = spec.context_window is not None and incoming > spec.context_window
        if spec.kind != question.endpoint or spec.id == own.id or too_long:
            continue
        outgoing = pricing.output_bound(spec, params)
        estimate = pricing.estimate_of(incoming, outgoing, offer.price, offer.rate)
        if budgets.have_room(_subject(offer, question.subject), estimate):
            quality = QUALITIES.index(spec.profile.quality)
            fitting.append((spec.provider != own.provider, -quality, estimate.usd_nano, spec.id))
    return [model for *_, model in sorted(fitting)[:MOST]]


def output_that_fits(question: Question, budgets: Budgets) -> int | None:
    """The most output tokens with which the same request would fit; None when none would be of use."""
    terms, params = question.terms, dict(question.limits)
    spec, choices = terms.spec, int(params.get("n") or 1)
    incoming = min(question.incoming, spec.context_window or question.incoming)
    asked = pricing.output_bound(spec, params) // choices

    def fits(tokens: int) -> bool:
        estimate = pricing.estimate_of(incoming, tokens * choices, terms.price, terms.rate)
        return budgets.have_room(question.subject, estimate)

    if spec.kind != "chat" or not fits(LEAST_OUTPUT_TOKENS):
        return None
    low, high = LEAST_OUTPUT_TOKENS, asked
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low if low < asked else None


def _subject(offer: Offer, own: Subject) -> Subject:
    return replace(
        own,
        provider=offer.spec.provider,
        model=offer.spec.id,
        model_name=offer.spec.profile.name,
        is_reasoning=offer.spec.is_reasoning,
        sandbox=offer.is_sandbox,
    )


#: A refusal costs some 40 estimates: not for each of a thousand in a second.
_advice: ShortLived[Question, Advice] = ShortLived(_work_out, ADVICE_TTL_SECONDS)
