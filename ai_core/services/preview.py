"""A dry run: what would become of an order, with nothing written, held or alerted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ai_core import pipeline
from ai_core.services import alternatives
from ai_core.services.accept import subject_of
from ai_core.services.alternatives import Budgets
from ai_core.services.job import Draft, Job, Order
from ai_core.services.warnings import warnings_in
from ai_providers.domain import pricing
from ai_providers.domain.tokens import TOKENS_PER_MESSAGE, count_text
from ai_usage.services import measured
from ai_usage.services.measured import Measured
from ai_usage.services.room import Room
from megahub.kernel import loop, money
from megahub.kernel.errors import HubError


@dataclass(frozen=True, slots=True)
class Preview:
    """What would become of an order; ``refusal`` is that of the first budget without room."""

    job: Job
    estimate: dict[str, Any]
    rooms: list[Room]
    refusal: HubError | None
    warnings: list[dict[str, Any]]


def of(order: Order) -> Preview:
    """Raises the HubError that the order itself would be refused with."""
    return _seen(loop.run(pipeline.draft(order)))


def _seen(drafted: Draft) -> Preview:
    job = drafted.job
    budgets = Budgets.read(job.order.caller)
    rooms = budgets.rooms(subject_of(job), drafted.estimate)
    full = next((room for room in rooms if not room.fits), None)
    refusal = None
    if full is not None:
        refusal = alternatives.advise(full.refusal(subject_of(job), budgets.moment), job)
    return Preview(job, _estimate(drafted), rooms, refusal, warnings_in(job.terms))


def _estimate(drafted: Draft) -> dict[str, Any]:
    """Tokens and cost: least, expected, most.

    ``most`` is what would be held. ``expected`` counts about 4 characters a token, and the mean output
    of the company's own jobs of the last 30 days on this model (null without any); ``least`` is the
    same input with an answer of one token.
    """
    job, most = drafted.job, drafted.estimate
    spec = job.terms.spec
    found = measured.by_model(job.company_id, sandbox=job.terms.is_sandbox, models=[spec.id]).get(spec.id)
    incoming = min(_input(job), most.input_tokens)
    outgoing = _expected_output(job, found, most.output_tokens)
    shortest = min(1, most.output_tokens)
    return {
        "tokens": {
            "input": {"least": incoming, "expected": incoming, "most": most.input_tokens},
            "output": {"least": shortest, "expected": outgoing, "most": most.output_tokens},
        },
        "cost_usd": {
            "least": _cost(job, incoming, shortest),
            "expected": None if outgoing is None else _cost(job, incoming, outgoing),
            "most": money.show(most.usd_nano),
        },
        "priced": job.terms.priced,
        "measured_jobs": found.jobs if found is not None else 0,
    }


def _input(job: Job) -> int:
    params = job.call.params
    messages = params.get("messages", ())
    texts = [message.get("content") for message in messages] + [params.get("input")]
    return sum(map(_tokens, texts)) + TOKENS_PER_MESSAGE * len(messages)


def _tokens(value: Any) -> int:
    """About how many tokens a text, texts or parts of a message have."""
    if isinstance(value, str):
        return count_text(value)
    if isinstance(value, dict):
        return count_text(str(value.get("text") or ""))
    if isinstance(value, list):
        return sum(1 if isinstance(item, int) else _tokens(item) for item in value)
    return 0


def _expected_output(job: Job, found: Measured | None, most: int) -> int | None:
    if job.terms.spec.kind == "embeddings":
        return 0
    if found is None or found.output_tokens is None:
        return None
    return min(round(found.output_tokens), most)


def _cost(job: Job, incoming: int, outgoing: int) -> str | None:
    """None for a model whose price is not known: what is held for it then is a stand-in."""
    if not job.terms.priced:
        return None
    amount = pricing.estimate_of(incoming, outgoing, job.terms.price, job.terms.rate)
    return money.show(amount.usd_nano)
