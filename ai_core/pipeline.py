"""The one road of a job: submit, execute, run, settle. Synchronous is a drained stream.

``submit`` checks and accepts: nothing is written before everything is checked. ``execute`` yields what
the provider says, ``run`` drains it, ``work`` is what a worker does with a job accepted for later. All
three go through ``_produce``, which ends in one transaction with the job's end, usage and cost.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from django.conf import settings

from ai_core import selectors
from ai_core.domain import retry
from ai_core.models import AIJobType
from ai_core.services import alternatives, calls, endings, gates, guarding, pacing
from ai_core.services.accept import ACCEPT, Acceptance, acceptance
from ai_core.services.cancel import CANCEL, Cancellation
from ai_core.services.claim import CLAIM, NEXT_ATTEMPT, Claimed, Move, Take
from ai_core.services.edit import AMEND, Amendment
from ai_core.services.job import Draft, Job, Order
from ai_core.services.saying import Said
from ai_core.services.sessions import PROCESS, Running
from ai_core.services.turns import TURN
from ai_core.services.warnings import warnings_of
from ai_guard.services import policies
from ai_providers import selectors as providers
from ai_providers.adapters.registry import ADAPTERS
from ai_providers.domain import params, pricing
from ai_providers.domain.gathering import Gathered
from ai_providers.domain.wire import Access, Call
from ai_usage.services import limits
from megahub.delivery import selectors as webhooks
from megahub.kernel import clock, connection, journal, loop, queue, scope, trail
from megahub.kernel.errors import (
    CredentialsChanged,
    HubError,
    JobCancelled,
    ModelNotSupportedHere,
    OutcomeUnknown,
    ProviderTimeout,
    ServerError,
)
from megahub.tenancy.idempotency import Replay

log = logging.getLogger(__name__)

CANCEL_PATIENCE_SECONDS = 5.0
CANCEL_LOOK_SECONDS = 0.05


Emit = Callable[[dict[str, Any] | None], None]


async def submit(order: Order) -> Job | Replay:
    """Check a request and accept it as a job; a job for later is rung for.

    Raises the HubError that names what is wrong; then no job was written. A Replay: the key was used.
    """
    drafted = await draft(order)
    await pacing.let_in(drafted)
    try:
        job, entry = await _checked(drafted)
        result = await _advised(ACCEPT, entry, entry)
    except BaseException:
        pacing.give_back(drafted.job)
        raise
    if isinstance(result, Replay):
        pacing.give_back(job)
        return result
    job.pk = result
    if job.is_async:
        queue.ring("ai_core.run_job", job.pk, queue=order.priority)
    else:
        job.attempt_no = 1
    return job


async def amend(order: Order, job_pk: int, revision: int, told: trail.Entry | None = None) -> None:
    """Give a pending job another input, checked and reserved for like a new one. Raises HubErrors."""
    _, entry = await _checked(await draft(order))
    await _advised(AMEND, Amendment(job_pk, revision, entry, told), entry)


async def _advised(writer: journal.Writer, entry: Any, accepted: Acceptance) -> Any:
    """Write; a budget's refusal is raised with what would fit."""
    try:
        return await journal.write(writer, entry)
    except alternatives.ADVISED as error:
        raise await alternatives.advised(error, accepted.job) from None


async def _checked(drafted: Draft) -> tuple[Job, Acceptance]:
    """A drafted job and its rows. Raises what is wrong with it."""
    job = drafted.job
    await guarding.check_input(job)
    job.warnings = await warnings_of(job.company_id, job.terms)
    own = await limits.of(job.company_id)
    session_id = None if job.is_async else await _session_id()
    return job, acceptance(job, drafted.kind.pk, drafted.estimate, own, session_id)


async def draft(order: Order) -> Draft:
    """The job that an order would become, with nothing written and nobody alerted. Raises HubErrors."""
    caller = order.caller
    brand_id = caller.require_brand()
    kind = await selectors.job_type(order.job_type)
    terms = await providers.terms(caller.company_id, order.model)
    if terms.spec.kind != order.endpoint:
        raise ModelNotSupportedHere(param="model", model=order.model, endpoint=order.endpoint)
    cleaned = params.clean(terms.spec, order.body, with_defaults=order.with_defaults)
    estimate = pricing.estimate(terms.spec, cleaned.params, terms.price, terms.rate, priced=terms.priced)
    is_async = _goes_later(order, kind)
    job = Job(
        order=order,
        policy=await policies.of(caller.company_id),
        brand_id=brand_id,
        terms=terms,
        cleaned=cleaned,
        call=Call(order.endpoint, order.model, cleaned.params, cleaned.stream and not is_async),
        is_async=is_async,
        max_attempts=settings.HUB_JOB_MAX_ATTEMPTS,
        created_at=clock.now(),
    )
    return Draft(job, kind, estimate)


def _goes_later(order: Order, kind: AIJobType) -> bool:
    """Whether a worker runs it: asked for, always so for its type, or expected to take too long."""
    if order.now:
        return False
    too_long = kind.estimated_duration_seconds > settings.AI_ASYNC_ABOVE_SECONDS
    return order.later or kind.requires_async or too_long


async def run(job: Job) -> Job:
    """Run an accepted job to its end in this task. Raises the HubError that it ended with."""
    await finish(job)
    if job.error is not None:
        raise job.error
    return job


async def finish(job: Job) -> None:
    """``run``, with the error left in the job."""
    await _produce(job, _ignore)


async def execute(job: Job) -> AsyncIterator[dict[str, Any]]:
    """Run an accepted job and yield its chunks (OpenAI's shape) as they come; HEARTBEAT in a silence.

    When the iteration ends, the job is settled. Closing it early (the client hung up) closes the
    provider's connection and settles what was said so far. Raises the HubError that it ended with.
    """
    said = Said(bounded=not job.policy.holds_back)
    producing = asyncio.create_task(_produce(job, said.put))
    producing.add_done_callback(lambda _: said.end())
    by_client = True
    try:
        while (data := await said.get()) is not None:
            yield data
    except asyncio.CancelledError:
        by_client = False
        raise
    finally:
        if (running := PROCESS.running.get(job.pk)) is not None:
            # A stream that the server cuts, since its grace is over, was cancelled by nobody.
            running.cancelled = running.cancelled or connection.hung_up(otherwise=by_client)
            producing.cancel()
        await asyncio.shield(producing)
    if job.error is not None:
        raise job.error


async def turn(bell: int) -> None:
    """Run waiting jobs, whoever's turn it is, until the one that a bell rang for is taken.

    A process that ends takes on nothing: another is rung for; so it is when the claim itself fails.
    """
    while (taken := await _work(bell, TURN)) is not None and taken.pk != bell:
        continue


async def work(job_pk: int) -> Job | None:
    """Claim one pending job and run it; None when it is not to be had. What it ends with is not raised."""
    claimed = await _work(job_pk, CLAIM)
    return claimed if isinstance(claimed, Job) else None


async def _work(job_pk: int, writer: journal.Writer) -> Job | Claimed | None:
    """Claim and run; the claim alone of a job that could not be opened. The row tells whose it is."""
    if PROCESS.draining:
        return None
    with scope.everybody():
        PROCESS.claiming += 1
        try:
            take = Take(job_pk, await _session_id(), settings.HUB_JOB_DEADLINE_SECONDS)
            claimed: Claimed | None = await journal.write(writer, take)
            job = None if claimed is None else await _opened(claimed)
        finally:
            PROCESS.claiming -= 1
        if job is not None:
            await _produce(job, _ignore)
    return job or claimed


async def _opened(claimed: Claimed) -> Job | None:
    scope.enter(claimed.company_id)
    try:
        return await reopen(claimed)
    except HubError as error:
        await endings.fail_claimed(claimed, error)
    except Exception:
        log.exception("job %s could not be opened", claimed.job_ref)
        await endings.return_claimed(claimed)
    return None


async def cancel(job_pk: int, company_id: int, entry: trail.Entry | None = None) -> bool:
    """Cancel a job and wait until it has let go, a few seconds at most; False when it had ended.

    A pending job ends at once; a running one is flagged for its process, unless it completes first.
    ``entry`` is written with it.
    """
    wanted = await webhooks.wanted(company_id)
    outcome = await journal.write(CANCEL, Cancellation(job_pk, company_id, wanted, entry))
    own = PROCESS.running.get(job_pk)
    if outcome == "flagged" and own is not None:
        own.cancel()
    until = time.monotonic() + CANCEL_PATIENCE_SECONDS
    while outcome == "flagged" and time.monotonic() < until:
        await asyncio.sleep(CANCEL_LOOK_SECONDS)
        if await loop.in_thread(selectors.has_ended, job_pk):
            break
    return bool(outcome)


async def drain(seconds: float) -> int:
    """Wait for this process's jobs; after ``seconds`` hand back those left. How many were left."""
    PROCESS.draining = True
    await _until(lambda: not (PROCESS.running or PROCESS.claiming or PROCESS.settling), seconds)
    left = list(PROCESS.running.values())
    for running in left:
        running.task.cancel()
    if left:
        await asyncio.wait([running.task for running in left], timeout=endings.PATIENCE_SECONDS)
    await _until(lambda: not PROCESS.settling, endings.PATIENCE_SECONDS)
    return len(left)


async def _until(condition: Callable[[], bool], seconds: float) -> None:
    """Wait for the condition, so many seconds at most."""
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        await asyncio.sleep(0.05)


async def reopen(claimed: Claimed) -> Job:
    """A claimed job as ``submit`` had it. Raises what is wrong with it by now."""
    terms = await providers.terms(claimed.company_id, claimed.model)
    if terms.is_sandbox != claimed.sandbox:
        raise CredentialsChanged
    order = claimed.as_order()
    cleaned = params.clean(terms.spec, order.body, with_defaults=order.with_defaults)
    job = Job(
        order=order,
        policy=replace(await policies.of(claimed.company_id), keep=claimed.keep or "all"),
        brand_id=claimed.brand_id,
        terms=terms,
        cleaned=cleaned,
        call=Call(order.endpoint, order.model, cleaned.params),
        is_async=True,
        max_attempts=claimed.max_attempts,
        created_at=clock.now(),
        pk=claimed.pk,
        job_ref=claimed.job_ref,
        attempt_no=claimed.attempt_no,
        unknown_attempts=claimed.unknown_attempts,
    )
    return await pacing.remember(job, claimed.accepted_ms)


async def _produce(job: Job, emit: Emit) -> None:
    """Run a job to its end and settle it; what went wrong is in ``job.error``."""
    task = asyncio.current_task()
    assert task is not None
    running = PROCESS.running[job.pk] = Running(job.pk, task)
    job.began = time.monotonic()
    try:
        async with asyncio.timeout(settings.HUB_JOB_DEADLINE_SECONDS):
            await _attempts(job, emit)
    except HubError as error:
        job.error = error
    except TimeoutError:
        job.error = ProviderTimeout(provider=job.terms.spec.provider)
    except asyncio.CancelledError:
        task.uncancel()
        # Without a wish for it, it is the server that ends.
        job.error = JobCancelled() if running.cancelled else OutcomeUnknown()
    except Exception:
        log.exception("job %s broke", job.job_ref)
        job.error = ServerError()
    finally:
        PROCESS.let_go(running)
    try:
        await endings.end(job)
    finally:
        PROCESS.settling.discard(job.pk)


async def _attempts(job: Job, emit: Emit) -> None:
    """One attempt per way to the provider that is not shut, until one answers.

    The next way is taken only while nothing has been said, and only after an error that another
    attempt may mend. A job that no way was open for has not been called at all (``held_until``).
    """
    failed: HubError | None = None
    shut: list[gates.Refused] = []
    for access in job.terms.accesses:
        again = failed is not None or job.attempt_no > 1
        try:
            passing = await gates.enter(job, access, again=again)
        except gates.Refused as refused:
            shut.append(refused)
            continue
        if failed is not None and not await _move_on(job, access, failed):
            raise failed
        job.access = access
        try:
            async with passing:
                await _call(job, emit)
            return
        except HubError as error:
            if job.has_spoken or not retry.may_move_on(error, job.call.params, job.unknown_attempts):
                raise
            failed, job.is_excused = error, passing.excuses
    if failed is None:
        first = min(shut, key=lambda refused: refused.until)
        job.held_until = first.until
        failed = first.error
    raise failed


async def _move_on(job: Job, access: Access, failed: HubError) -> bool:
    """The next attempt, by another way; False when the job is not this process's any more."""
    phase = "unknown" if failed.outcome_unknown else "failed"
    session_id = await _session_id()
    move = Move(job.pk, job.attempt_no, session_id, access.provider, access.source, phase, failed.code)
    moved = bool(await journal.write(NEXT_ATTEMPT, move))
    job.attempt_no += moved
    job.unknown_attempts += moved and failed.outcome_unknown
    return moved


async def _call(job: Job, emit: Emit) -> None:
    """One call to the provider: what it says is emitted, and gathered in the job."""
    assert job.access is not None
    adapter = ADAPTERS[job.access.provider]
    job.gathered = Gathered(job.call) if job.call.stream else None
    chunks = adapter.stream(job.call, job.access, job.terms.spec, f"{job.job_ref}-{job.attempt_no}")
    job.was_sent = True
    held: list[dict[str, Any] | None] = []
    say: Emit = held.append if job.policy.holds_back else emit
    async with calls.watched(job.access), aclosing(chunks) as stream:  # type: ignore[type-var]
        async for chunk in stream:
            if job.first_byte_ms is None:
                job.first_byte_ms = job.elapsed_ms
            if chunk.rate_limits is not None:
                calls.told(job.access, chunk.rate_limits)
            if chunk.completion is not None:
                job.completion = chunk.completion
            elif chunk.data is not None and job.gathered is not None:
                job.gathered.add(chunk.data)
                job.has_spoken = True
                if chunk.data.get("usage") and not chunk.data.get("choices"):
                    endings.note_usage(job)
                say(chunk.data)
    if job.gathered is not None:
        job.completion = job.gathered.completion()
    await endings.look(job)
    for data in held:
        emit(data)


async def _session_id() -> int:
    """This process's session; made in a thread the first time."""
    known = PROCESS.session_id
    return await loop.in_thread(PROCESS.begin) if known is None else known


def _ignore(_: dict[str, Any] | None) -> None:
    """Nobody listens."""
