"""Rate limits on the road of a job: let in before it is accepted, put right when it has ended."""

from __future__ import annotations

from ai_core.services.job import Draft, Job
from ai_providers.domain import pricing
from ai_usage.domain import rates as rules
from ai_usage.services import rates


async def let_in(drafted: Draft) -> None:
    """Count a request against its limits; the job remembers what it took. Raises RateLimited."""
    job, most = drafted.job, drafted.estimate
    tokens = rules.estimate(job.call.params, most.input_tokens, most.output_tokens)
    job.taken = await rates.take(job.order.caller, job.model, tokens)


def give_back(job: Job) -> None:
    """The request stays counted; the tokens of a job that was not accepted do not."""
    if job.taken is not None:
        rates.put_right(job.taken, 0)


async def remember(job: Job, accepted_ms: int) -> Job:
    """A job that another process has let in, with what it took."""
    spec, params = job.terms.spec, job.call.params
    if await rates.limits(job.company_id):
        bounds = pricing.input_bound(spec, params), pricing.output_bound(spec, params)
        tokens = rules.estimate(params, *bounds)
        job.taken = await rates.taken_before(job.order.caller, job.model, tokens, accepted_ms)
    return job


def put_right(job: Job) -> None:
    """A job has ended: what it used takes the place of what it was let in with."""
    if job.taken is not None:
        rates.put_right(job.taken, job.usage.total_tokens if job.usage else 0)
