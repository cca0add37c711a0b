"""The candidates of a recommendation: catalogue facts, the company's own figures, what budgets leave."""

from __future__ import annotations

from dataclasses import dataclass

from ai_core.services.alternatives import Budgets
from ai_openai.domain.recommend import Candidate
from ai_providers import selectors as providers
from ai_providers.domain import pricing
from ai_providers.domain.tokens import TOKENS_PER_MESSAGE, count_text
from ai_providers.selectors import Offer
from ai_usage.domain.budgets import Subject
from ai_usage.services import measured
from ai_usage.services.measured import Measured
from megahub.tenancy.selectors import Caller

#: MEGAHUB's own default limit; the same for all, so that models are compared on one answer.
DEFAULT_OUTPUT_TOKENS = 1000


@dataclass(frozen=True, slots=True)
class Field:
    """Who may be recommended, on which tokens the estimates rest, and who was left out."""

    candidates: list[Candidate]
    input_tokens: int
    output_tokens: dict[str, int]
    output_from: dict[str, str]
    excluded: list[dict[str, str]]


def gather(caller: Caller, description: str, given_output: int | None) -> Field:
    """The chat models that the company may call today and whose estimate its budgets have room for."""
    incoming = count_text(description) + TOKENS_PER_MESSAGE
    sandbox = providers.plays(caller.company_id)
    known = measured.by_model(caller.company_id, sandbox=sandbox)
    budgets = Budgets.read(caller)
    found = Field([], incoming, {}, {}, [])
    for offer in providers.offers(caller.company_id):
        spec = offer.spec
        if spec.kind != "chat":
            continue
        outgoing, source = _output(offer, known, given_output)
        estimate = pricing.estimate_of(incoming, outgoing, offer.price, offer.rate)
        if spec.context_window is not None and incoming + outgoing > spec.context_window:
            found.excluded.append({"model": spec.id, "reason": "context_window"})
        elif not budgets.have_room(_subject(caller, offer), estimate):
            found.excluded.append({"model": spec.id, "reason": "budget"})
        else:
            found.candidates.append(_candidate(offer, estimate.usd_nano, outgoing, known.get(spec.id)))
            found.output_tokens[spec.id], found.output_from[spec.id] = outgoing, source
    return found


def _output(offer: Offer, known: dict[str, Measured], given: int | None) -> tuple[int, str]:
    """Output tokens, and where they are from.

    The caller's own number; the model's mean over the company's jobs; the mean over all of its models;
    the default limit.
    """
    own = known.get(offer.spec.id)
    if given is not None:
        return given, "given"
    if own is not None and own.output_tokens is not None:
        return max(1, round(own.output_tokens)), "measured"
    means = [each.output_tokens for each in known.values() if each.output_tokens is not None]
    if means:
        return max(1, round(sum(means) / len(means))), "measured_on_other_models"
    return min(
        DEFAULT_OUTPUT_TOKENS, offer.spec.max_output_tokens or DEFAULT_OUTPUT_TOKENS
    ), "default_limit"


def _candidate(offer: Offer, cost: int, outgoing: int, known: Measured | None) -> Candidate:
    per_token = known.ms_per_output_token if known is not None else None
    return Candidate(
        spec=offer.spec,
        cost_nano_usd=cost,
        seconds=None if per_token is None else round(per_token * outgoing / 1000, 3),
        jobs=known.jobs if known is not None else 0,
        success_rate=known.success_rate if known is not None else None,
        tokens_per_second=1000 / per_token if per_token else None,
    )


def _subject(caller: Caller, offer: Offer) -> Subject:
    return Subject(
        company_id=caller.company_id,
        brand_id=caller.brand_id,
        user_id=caller.user_id,
        api_key_id=caller.api_key_id,
        provider=offer.spec.provider,
        model=offer.spec.id,
        model_name=offer.spec.profile.name,
        is_reasoning=offer.spec.is_reasoning,
        timezone=caller.timezone,
        sandbox=offer.is_sandbox,
    )
