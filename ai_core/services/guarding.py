"""The company's content filter, applied to a job or to a batch's line; what is kept of a job's texts."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson

from ai_core.services import moderating
from ai_core.services.job import Job
from ai_guard.domain import keeping, rules
from ai_guard.domain.refusals import ContentBlocked, ContentUnchecked
from ai_guard.services import findings, policies
from ai_guard.services.policies import Policy
from megahub.kernel import clock, loop
from megahub.kernel.errors import HubError

log = logging.getLogger(__name__)

#: A job for later is asked for its answer after it has run: so long it is there, whatever is kept.
FETCHED_WITHIN = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Guarded:
    """Whose texts are looked at, and under which name a finding is written (``ref``, if it has one)."""

    company_id: int
    brand_id: int
    model: str
    ref: str
    policy: Policy


async def check_input(job: Job) -> None:
    """Look at a request before it is accepted. Raises ContentBlocked: then nothing was written or paid."""
    if not job.policy.looks:
        return
    who = _of_job(job)
    # A job that is blocked before it is accepted is none: no finding names it.
    await look(who, "input", job.call.params, name="" if who.policy.content_filter == "block" else who.ref)


async def check_output(job: Job) -> None:
    """Look at an answer before it is told. Raises ContentBlocked; what it used is paid for."""
    if job.policy.looks and job.completion is not None:
        await look(_of_job(job), "output", job.completion.body)


def _of_job(job: Job) -> Guarded:
    return Guarded(job.company_id, job.brand_id, job.model, job.job_ref, job.policy)


def verdict(company_id: int, brand_id: int, model: str, ref: str, value: Any) -> HubError | None:
    """What keeps an answer from being told that a killed process had not looked at; None: nothing does.

    From synchronous code, by the policy that holds now.
    """

    async def found() -> HubError | None:
        try:
            policy = await policies.of(company_id)
            await look(Guarded(company_id, brand_id, model, ref, policy), "output", value)
        except (ContentBlocked, ContentUnchecked) as error:
            return error
        return None

    return loop.run(found())


async def look(who: Guarded, direction: str, value: Any, *, name: str | None = None) -> None:
    """Look at the texts of a request or an answer; what is found is counted, under ``name`` or ``who.ref``.

    Raises ContentBlocked, or ContentUnchecked when nobody could say whether it is to be blocked.
    """
    if not who.policy.looks:
        return
    hits = await _hits(who, direction, value)
    if not hits:
        return
    blocked = who.policy.content_filter == "block"
    facts = {
        "direction": direction,
        "action": "blocked" if blocked else "flagged",
        "hits": hits,
        "job_ref": who.ref if name is None else name,
        "model": who.model,
    }
    await loop.in_thread(findings.record, who.company_id, who.brand_id, **facts)
    if blocked:
        raise ContentBlocked(direction=direction)


async def _hits(who: Guarded, direction: str, value: Any) -> int:
    """How many of the company's words stand there, else how many categories the provider flags."""
    text, images = rules.texts(value), rules.images(value)
    found = len(rules.hits(who.policy.words, text))
    if found or not who.policy.moderation or not (text.strip() or images):
        return found
    try:
        name = f"{who.ref}-{direction}"
        return len(await moderating.categories(who.company_id, text, images, name))
    except (HubError, TimeoutError) as error:
        if who.policy.content_filter == "block":
            raise ContentUnchecked from error
        log.warning("moderation of %s was not answered: %s", direction, type(error).__name__)
        return 0


def kept(job: Job, error: HubError | None) -> dict[str, Any]:
    """What a settlement says of the job's texts: response, error, input_data, forget_at."""
    keep = job.policy.keep
    body = job.completion.body if job.completion else None
    if isinstance(error, ContentBlocked):
        body = None
    told = error.as_data() if error else None
    if keep == "all" or not job.is_async:
        answer = keeping.kept_answer(keep, body)
        return {"response": _json(answer), "error": keeping.kept_error(keep, told)}
    return {
        "response": _json(body),
        "error": keeping.kept_error(keep, told),
        "input_data": orjson.dumps(keeping.kept(keep, orjson.loads(job.order.input_json))),
        "forget_at": clock.now() + FETCHED_WITHIN,
    }


def _json(value: Any) -> bytes | None:
    return None if value is None else orjson.dumps(value)
