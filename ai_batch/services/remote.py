"""The provider's own batch API: a batch is handed over, watched with growing pauses, and brought home.

Each step is written down before the next begins. A batch that may have been made (the answer was lost)
is looked for under the hub's name before one is made; results are settled line by line, so that a
fetch that broke off is done again without a line charged twice.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
from django.db.models import F, Max, Q

from ai_batch.domain.lines import ENDPOINTS, Place, Problem, request_of
from ai_batch.models import Batch
from ai_batch.services import bringing, files, leases, screening
from ai_batch.services.stopping import STOP_LINES, Stop
from ai_guard.domain.refusals import ContentUnchecked
from ai_providers import selectors as providers
from ai_providers.adapters import batches as wire
from ai_providers.catalogue import loading
from ai_providers.domain import params
from ai_providers.domain.endpoints import spec_for
from ai_providers.domain.wire import Access
from ai_providers.selectors import Terms
from megahub.kernel import clock, journal, loop, queue
from megahub.kernel.errors import CredentialsChanged, HubError

log = logging.getLogger(__name__)

OVER = frozenset(("completed", "failed", "expired", "cancelled"))
#: Handing over is tried again so often, at growing pauses, before the batch is given up.
MAX_FAILURES = 20
FIRST_PAUSE_SECONDS = 2.0
#: A caller who asks for a fresh look is the first to get one for so long.
REFRESH_SECONDS = 5
LONGEST_PAUSE_SECONDS = 300.0


def advance(batch_pk: int) -> bool:
    """Take a batch of the provider's engine a step further; False when it is not this process's to do."""
    batch = leases.take(batch_pk, "in_progress", "cancelling")
    if batch is None:
        return False
    try:
        if batch.engine == "provider":
            loop.run(_advance(batch))
    except HubError as error:
        _put_off(batch, error)
    finally:
        leases.release(batch_pk)
    return True


async def refresh(batch_pk: int) -> bool:
    """Ask the provider now how far its batch is, at most every REFRESH_SECONDS; whether it was asked.

    What has ended there is brought home by a worker, whose bell is rung.
    """
    batch = await loop.in_thread(_wanted, batch_pk)
    if batch is None:
        return False
    try:
        told = await _looked_at(batch)
    except HubError as error:
        log.info("batch %s could not be refreshed: %s", batch.batch_id, error.code)
        return False
    await loop.in_thread(_seen, batch, told)
    return True


def _wanted(batch_pk: int) -> Batch | None:
    """The batch if it lies at the provider, and nobody has just asked after it."""
    now = clock.now()
    rested = Q(poll_at=None) | Q(poll_at__lte=now - timedelta(seconds=REFRESH_SECONDS))
    rows = Batch.objects.unscoped().filter(
        rested, pk=batch_pk, engine="provider", status__in=("in_progress", "cancelling")
    )
    if not rows.exclude(provider_batch_id="").update(poll_at=now):
        return None
    found: Batch = Batch.objects.unscoped().get(pk=batch_pk)
    return found


def _seen(batch: Batch, told: dict[str, Any]) -> None:
    status = str(told.get("status"))
    rows = Batch.objects.unscoped().filter(pk=batch.pk, provider_batch_id=batch.provider_batch_id)
    rows.update(provider_status=status, **_counted(batch, told))
    if status in OVER:
        queue.ring("ai_batch.remote", batch.pk, queue="normal")


def _counted(batch: Batch, told: dict[str, Any]) -> dict[str, int]:
    """How many lines the provider says have ended, with those of earlier rounds, while it runs them.

    Once it is over its files say how each ended; what it counted last stays until all are settled.
    """
    counts = told.get("request_counts")
    if told.get("status") in OVER or not isinstance(counts, dict):
        return {}
    return {
        "provider_completed": batch.completed + _whole(counts.get("completed"), batch.total),
        "provider_failed": batch.failed + _whole(counts.get("failed"), batch.total),
    }


def _whole(value: Any, most: int) -> int:
    """A count of the provider's; 0 for what is none."""
    return min(value, most) if isinstance(value, int) and value > 0 else 0


async def _looked_at(batch: Batch) -> dict[str, Any]:
    terms = await providers.terms(batch.company_id, batch.model)
    if terms.is_sandbox != batch.sandbox:
        raise CredentialsChanged
    return await wire.get(terms.accesses[0], batch.provider_batch_id)


async def _advance(batch: Batch) -> None:
    terms = await providers.terms(batch.company_id, batch.model)
    if terms.is_sandbox != batch.sandbox:
        raise CredentialsChanged
    access = terms.accesses[0]
    if not batch.provider_batch_id:
        if batch.stop:
            await _stop(batch, batch.stop)
            return
        made = await _handed_over(batch, terms, access)
        if made is None:
            queue.ring("ai_batch.finish", batch.pk, queue="normal")
            return
        told = made
    elif batch.stop == "cancelled" and batch.provider_status not in ("cancelling", *OVER):
        told = await wire.cancel(access, batch.provider_batch_id)
    else:
        told = await wire.get(access, batch.provider_batch_id)
    status = str(told.get("status"))
    seen = {"provider_status": status, **_counted(batch, told)}
    await _write(batch, **seen, polls=batch.polls + 1, ring_at=_next_look(batch.polls))
    if status in OVER:
        await _bring_home(batch, terms, access, told)


async def _handed_over(batch: Batch, terms: Terms, access: Access) -> dict[str, Any] | None:
    """Upload and create; the batch at the provider. None when the content filter leaves nothing to run."""
    if not batch.provider_file_id:
        await screening.before_handing_over(batch)
        if not await loop.in_thread(batch.lines.filter(status="pending").exists):
            return None
        path = await asyncio.to_thread(_as_sent, batch, terms)
        try:
            file_id = await wire.upload(access, path, f"{_name(batch)}.jsonl")
        finally:
            await asyncio.to_thread(path.unlink)
        await _write(batch, provider_file_id=file_id)
    told = await wire.made_before(access, _name(batch)) if batch.provider_status == "creating" else None
    if told is None:
        await _write(batch, provider_status="creating")
        told = await wire.create(access, batch.provider_file_id, batch.endpoint, _name(batch))
    await _write(batch, provider_batch_id=str(told.get("id")))
    return told


def _as_sent(batch: Batch, terms: Terms) -> Path:
    """The lines in the provider's words, in a file of their own."""
    spec = spec_for(terms.spec, ENDPOINTS[batch.endpoint], loading.responses_rules())
    assert spec is not None
    assert batch.input_file is not None
    incoming = files.Incoming()
    try:
        with files.open_content(batch.input_file) as content:
            wanted = batch.lines.filter(tries=batch.provider_round, status="pending").order_by("line_no")
            for line in wanted.iterator(chunk_size=1000):
                content.seek(line.offset)
                request = request_of(
                    Place(line.line_no, line.offset, content.read(line.length)), batch.endpoint
                )
                assert not isinstance(request, Problem)
                cleaned = params.clean(spec, request.body, with_defaults=False)
                body = {"model": spec.id, **cleaned.params}
                told = {"custom_id": line.custom_id, "method": "POST", "url": batch.endpoint, "body": body}
                incoming.write(orjson.dumps(told, option=orjson.OPT_APPEND_NEWLINE))
    except BaseException:
        incoming.drop()
        raise
    incoming.close()
    return incoming.path


async def _bring_home(batch: Batch, terms: Terms, access: Access, told: dict[str, Any]) -> None:
    """Settle every line by what the provider's files say of it; what is in none of them was not run."""
    for name in ("output_file_id", "error_file_id"):
        file_id = told.get(name)
        if isinstance(file_id, str) and file_id:
            await bringing.fetch(batch, terms, wire.content(access, file_id))
    status = str(told.get("status"))
    if status == "failed":
        found = (told.get("errors") or {}).get("data") or []
        await _write(batch, errors=found[:100], error_count=len(found))
    if status == "completed" and not batch.stop and await loop.in_thread(_again, batch):
        return
    why = {"completed": "lost", "failed": "failed"}.get(status, status)
    await _stop(batch, why)


def _name(batch: Batch) -> str:
    """How the provider knows what was handed over: each round has a name of its own."""
    return f"{batch.batch_id}-{batch.provider_round}" if batch.provider_round else batch.batch_id


def _again(batch: Batch) -> bool:
    """Hand the lines that were given back to the provider once more; False when there are none.

    Lines of a process that died while it settled them come first: beat takes them back, and what the
    provider's files say of them is read again.
    """
    earlier, later = batch.provider_round, batch.provider_round + 1
    if batch.lines.filter(status="running").exists():
        return True
    pending = batch.lines.filter(status="pending")
    if not pending.filter(tries=later).exists():
        return False
    pending.filter(tries=earlier).update(tries=later)  # in none of its files: not run
    due = pending.filter(tries=later).aggregate(due=Max("run_at"))["due"]
    return bool(
        Batch.objects.unscoped()
        .filter(pk=batch.pk, provider_round=earlier, status="in_progress")
        .update(
            provider_round=later,
            provider_file_id="",
            provider_batch_id="",
            provider_status="",
            polls=0,
            provider_completed=0,
            provider_failed=0,
            ring_at=due or clock.now(),
        )
    )


async def _stop(batch: Batch, why: str) -> None:
    """End what is left; then the batch is over."""
    if why in ("failed", "expired") and not batch.stop:
        await _write(batch, stop=why)
    while await journal.write(STOP_LINES, Stop(batch.pk, batch.sandbox, batch.windows, why, clock.now())):
        pass
    queue.ring("ai_batch.finish", batch.pk, queue="normal")


def _put_off(batch: Batch, error: HubError) -> None:
    """Try again later what may succeed then; give up what may not.

    A batch that lies at the provider is never given up for an outage, however long it was looked at
    before: its lines run there and are to be paid, and its window ends it.
    """
    rows = Batch.objects.unscoped().filter(pk=batch.pk)
    rows.update(polls=F("polls") + 1, ring_at=_next_look(batch.polls))
    waits = error.retryable or isinstance(error, ContentUnchecked)
    if waits and (batch.provider_batch_id or batch.polls < MAX_FAILURES):
        log.warning("batch %s waits for its provider: %s", batch.batch_id, error.code)
        return
    told = {"code": error.code.lower(), "message": error.text(), "param": error.param, "line": None}
    rows.update(errors=[told], error_count=1)
    loop.run(_stop(batch, "failed"))


def _next_look(polls: int) -> Any:
    seconds = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 1.3 ** min(polls, 40))
    return clock.now() + timedelta(seconds=seconds)


async def _write(batch: Batch, **fields: Any) -> None:
    def write() -> None:
        Batch.objects.unscoped().filter(pk=batch.pk).update(
            **fields, lease_until=clock.now() + leases.LEASE
        )

    await loop.in_thread(write)
    for name, value in fields.items():
        setattr(batch, name, value)
