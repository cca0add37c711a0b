"""One line's run: read it from the file, call the provider, settle it, or give it back for later."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ai_batch.domain import results
from ai_batch.domain.cleaning import Cleaner
from ai_batch.domain.lines import ENDPOINTS, Place, Problem, request_of
from ai_batch.models import Batch
from ai_batch.services import files
from ai_batch.services.claim import GIVE_BACK_LINES, Back, Taken
from ai_batch.services.settle import LineEnd, Running
from ai_core.domain import retry
from ai_core.services import calls, gates
from ai_guard.domain.refusals import ContentUnchecked
from ai_providers import selectors as providers
from ai_providers.adapters.registry import ADAPTERS
from ai_providers.catalogue import loading
from ai_providers.domain import pricing
from ai_providers.domain.endpoints import spec_for
from ai_providers.domain.wire import Access, Call, Completion
from ai_providers.selectors import Terms
from megahub.kernel import clock, journal
from megahub.kernel.errors import (
    CredentialsChanged,
    HubError,
    ModelNotSupportedHere,
    RateLimited,
    ServerError,
    ValidationFailed,
)

log = logging.getLogger(__name__)

#: Batches of which a process remembers what their lines share.
MANY = 100


@dataclass(frozen=True, slots=True)
class Work:
    """A batch as its lines need it while they run."""

    running: Running
    batch_ref: str
    endpoint: str
    file: Any
    max_attempts: int
    backoff_seconds: int
    round: int = 0
    is_stopped: bool = False

    @classmethod
    def of(cls, batch: Batch) -> Work:
        running = Running(
            batch.pk,
            batch.company_id,
            batch.brand_id,
            batch.provider,
            batch.model,
            batch.generation,
            batch.sandbox,
            batch.windows,
        )
        return cls(
            running,
            batch.batch_id,
            batch.endpoint,
            batch.input_file,
            batch.max_attempts,
            batch.backoff_seconds,
            batch.provider_round,
            bool(batch.stop),
        )


def contents(work: Work, lines: list[Taken]) -> list[bytes]:
    """What the file holds of each line. Raises FileNotFoundError."""
    with files.open_content(work.file) as file:
        found = []
        for line in lines:
            file.seek(line.offset)
            found.append(file.read(line.length))
    return found


class Shared:
    """What the lines of a batch share while the company's terms are the same."""

    def __init__(self, work: Work, terms: Terms) -> None:
        if terms.is_sandbox != work.running.sandbox:
            raise CredentialsChanged
        spec = spec_for(terms.spec, ENDPOINTS[work.endpoint], loading.responses_rules())
        if spec is None:
            raise ModelNotSupportedHere(param="model", model=terms.spec.id, endpoint=work.endpoint)
        self.terms = terms
        self.spec = spec
        self.cleaner = Cleaner(spec)
        self.pricer = pricing.Pricer(terms.price, terms.rate)


_shared: dict[int, Shared] = {}


def _shared_of(work: Work, terms: Terms) -> Shared:
    """Raises CredentialsChanged, ModelNotSupportedHere."""
    found = _shared.get(work.running.pk)
    if found is None or found.terms is not terms:
        if len(_shared) >= MANY:
            _shared.clear()
        found = _shared[work.running.pk] = Shared(work, terms)
    return found


@dataclass(slots=True)
class Run:
    """A line that is being run: how it is called, and what came of it."""

    work: Work
    line: Taken
    shared: Shared
    access: Access
    call: Call
    reasoning_effort: str | None
    began: float

    @property
    def elapsed_ms(self) -> int:
        return int((time.monotonic() - self.began) * 1000)


async def prepare(work: Work, line: Taken, raw: bytes) -> Run:
    """The call of a line, by the same checks as when it was taken in. Raises HubError."""
    terms = await providers.terms(work.running.company_id, work.running.model)
    shared = _shared_of(work, terms)
    request = request_of(Place(line.line_no, line.offset, raw), work.endpoint)
    if isinstance(request, Problem):
        raise ValidationFailed(request.message, param=request.param)
    params, spec = shared.cleaner.clean(request.body), shared.spec
    access = terms.accesses[min(line.tries, len(terms.accesses) - 1)]
    call = Call(spec.kind, spec.id, params)  # type: ignore[arg-type]
    effort = params.get("reasoning_effort") or spec.default_reasoning_effort
    return Run(work, line, shared, access, call, effort, time.monotonic())


@dataclass(frozen=True, slots=True)
class Asks:
    """A line before the provider's gate: it can wait."""

    company_id: int
    model: str
    is_async: bool = True


async def most(work: Work) -> int | None:
    """How many lines at once its provider is trusted with; None when a line is to hear why not."""
    of = work.running
    try:
        terms = await providers.terms(of.company_id, of.model)
    except HubError:
        return None
    return gates.most(Asks(of.company_id, of.model), terms.accesses[0])


async def ask(run: Run) -> Completion:
    """Call the provider once. Raises HubError."""
    adapter = ADAPTERS[run.access.provider]
    name = f"{results.ref_of(run.line.pk)}-{run.line.attempt_no}"
    found: Completion | None = None
    running = run.work.running
    try:
        gate = await gates.enter(
            Asks(running.company_id, running.model), run.access, again=run.line.tries > 0
        )
    except gates.Refused as shut:
        wait = (shut.until - clock.now()).total_seconds()
        raise RateLimited(retry_after=max(0.1, wait), provider=run.access.provider) from shut
    async with gate, calls.watched(run.access):
        async for chunk in adapter.stream(run.call, run.access, run.shared.spec, name):
            if chunk.rate_limits is not None:
                calls.told(run.access, chunk.rate_limits)
            found = chunk.completion or found
    if found is None:
        raise ServerError
    return found


def succeeded(run: Run, completion: Completion) -> LineEnd:
    """The end of a line that was answered."""
    line, usage = run.line, completion.usage
    cost = run.shared.pricer.of(usage)
    priced = run.shared.terms.priced
    request_id = completion.provider_id or results.ref_of(line.pk)
    return LineEnd(
        batch=run.work.running,
        pk=line.pk,
        line_no=line.line_no,
        attempt_no=line.attempt_no,
        held_nano_usd=line.nano_usd,
        held_tokens=line.tokens,
        status="completed",
        status_code=200,
        body=results.answered(line.pk, line.custom_id, 200, request_id, completion.body),
        ended_at=clock.now(),
        execution_time_ms=run.elapsed_ms,
        reasoning_effort=run.reasoning_effort,
        usage=usage,
        cost=cost if priced else None,
        charged_nano_usd=cost.usd_nano,
    )


def refused(work: Work, line: Taken, error: HubError, elapsed_ms: int | None = None) -> LineEnd:
    """The end of a line that failed for good."""
    return LineEnd(
        batch=work.running,
        pk=line.pk,
        line_no=line.line_no,
        attempt_no=line.attempt_no,
        held_nano_usd=line.nano_usd,
        held_tokens=line.tokens,
        status="failed",
        status_code=error.status,
        error_code=error.code.lower()[:60],
        body=results.refused(line.pk, line.custom_id, error, results.ref_of(line.pk)),
        ended_at=clock.now(),
        execution_time_ms=elapsed_ms,
    )


def again_at(work: Work, line: Taken, error: HubError) -> datetime | None:
    """When a line is tried again after ``error``; None when it is not.

    A provider's rate limit is no failure of the line: it waits, as long as its batch may run.
    """
    now = clock.now()
    if isinstance(error, RateLimited):
        return retry.run_at(error, 2, now)
    failures = line.tries + 1
    unseen = isinstance(error, ContentUnchecked) and failures < work.max_attempts
    if not unseen and not retry.may_retry(error, failures, work.max_attempts, line.unknown):
        return None
    pause = timedelta(seconds=work.backoff_seconds * 2 ** min(line.tries, 10))
    return max(retry.run_at(error, failures, now), now + pause)


async def give_back(line: Taken, error: HubError, later: datetime) -> None:
    """A line that failed for now is run again from ``later`` on."""
    tries = 0 if isinstance(error, RateLimited) else 1
    unknown = 1 if error.outcome_unknown else 0
    await journal.write(GIVE_BACK_LINES, Back(line.pk, line.attempt_no, later, tries, unknown))
