"""A provider's result file, settled line by line at the batch API's prices."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import orjson
from django.db.models import F

from ai_batch.domain import results
from ai_batch.domain.lines import ENDPOINTS
from ai_batch.models import Batch, Line
from ai_batch.services import leases, screening
from ai_batch.services.claim import GIVE_BACK_LINES, Back
from ai_batch.services.running import Work
from ai_batch.services.settle import SETTLE_LINES, LineEnd
from ai_core.services.sessions import PROCESS
from ai_guard.domain.refusals import ContentBlocked
from ai_providers.domain import pricing
from ai_providers.domain.gathering import guessed, usage_of
from ai_providers.domain.wire import Call
from ai_providers.selectors import Terms
from megahub.kernel import body as bodies
from megahub.kernel import clock, journal, loop
from megahub.kernel.errors import HubError

log = logging.getLogger(__name__)

AT_ONCE = 200
#: What the provider answers when it could not serve a line for now.
FOR_NOW = frozenset((408, 409, 429, *range(500, 600)))


async def fetch(batch: Batch, terms: Terms, pieces: AsyncIterator[bytes]) -> None:
    """Settle what the file holds, some hundred lines at a time."""
    work = await loop.in_thread(Work.of, batch)
    rest, told = b"", []
    async for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        told += [line for line in whole if line.strip()]
        while len(told) >= AT_ONCE:
            await _settle(work, terms, told[:AT_ONCE])
            told = told[AT_ONCE:]
    if rest.strip():
        told.append(rest)
    if told:
        await _settle(work, terms, told)


async def _settle(work: Work, terms: Terms, raws: list[bytes]) -> None:
    await loop.in_thread(leases.renew, work.running.pk)
    told = {each["custom_id"]: each for raw in raws if (each := _read(work, raw)) is not None}
    known = PROCESS.session_id
    session_id = await loop.in_thread(PROCESS.begin) if known is None else known
    lines = await loop.in_thread(_taken, work.running.pk, work.round, list(told), session_id)
    again = {line.pk: at for line in lines if (at := _again_at(work, line, told[line.custom_id]))}
    ended = {
        line.custom_id: _end(work, terms, line, told[line.custom_id])
        for line in lines
        if line.pk not in again
    }
    try:
        ends = await _looked_at(work, ended, told)
    except HubError:  # nobody could say whether an answer may be read: all of these are asked for again
        given = (Back(line.pk, line.attempt_no, None, 0, 0) for line in lines)
        await asyncio.gather(*(journal.write(GIVE_BACK_LINES, back) for back in given))
        raise
    backs = [Back(line.pk, line.attempt_no, again[line.pk]) for line in lines if line.pk in again]
    await asyncio.gather(
        *(journal.write(SETTLE_LINES, end) for end in ends),
        *(journal.write(GIVE_BACK_LINES, back) for back in backs),
    )


async def _looked_at(work: Work, ended: dict[str, LineEnd], told: dict[str, Any]) -> list[LineEnd]:
    """The ends of lines, those withheld whose answers are blocked. Raises ContentUnchecked."""
    found = dict(ended)

    async def look(custom_id: str, end: LineEnd) -> None:
        try:
            await screening.answer(work, end.pk, told[custom_id]["response"]["body"])
        except ContentBlocked as error:
            found[custom_id] = screening.withheld(end, custom_id, error)

    await screening.each(look(name, end) for name, end in ended.items() if end.usage is not None)
    return list(found.values())


def _read(work: Work, raw: bytes) -> dict[str, Any] | None:
    """What the provider says of a line; None of what names none: such a line ends as not answered."""
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError:
        found = None
    if b"\\u0000" in raw:
        found = bodies.without_nul(found)
    if isinstance(found, dict) and isinstance(found.get("custom_id"), str):
        return found
    log.warning("the provider's file of batch %s has a line that is none", work.batch_ref)
    return None


def _status(told: dict[str, Any]) -> int | None:
    """The status of an answer; 0 for what is no status, None without an answer."""
    response = told.get("response")
    if not isinstance(response, dict):
        return None
    found = response.get("status_code")
    return found if isinstance(found, int) and not isinstance(found, bool) and 100 <= found < 600 else 0


def _again_at(work: Work, line: Line, told: dict[str, Any]) -> datetime | None:
    """When a line that the provider could not serve for now is handed over again; None when it is not."""
    if _status(told) not in FOR_NOW or work.is_stopped or line.tries + 1 >= work.max_attempts:
        return None
    return clock.now() + timedelta(seconds=work.backoff_seconds * 2 ** min(line.tries, 10))


def _taken(batch_pk: int, round_no: int, custom_ids: list[str], session_id: int) -> list[Line]:
    """The lines of these names and of this round that have not been settled yet, now this process's."""
    rows = Line.objects.filter(batch_id=batch_pk, custom_id__in=custom_ids, tries=round_no)
    rows.filter(status="pending").update(
        status="running", attempt_no=F("attempt_no") + 1, session_id=session_id
    )
    return list(rows.filter(status="running", session_id=session_id))


def _end(work: Work, terms: Terms, line: Line, told: dict[str, Any]) -> LineEnd:
    """How the provider ended a line."""
    response, error = told.get("response"), told.get("error")
    answer = response.get("body") if isinstance(response, dict) else None
    status = _status(told)
    usage = cost = None
    if status == 200 and isinstance(answer, dict):
        call = Call(ENDPOINTS[work.endpoint], terms.spec.id, {})  # type: ignore[arg-type]
        usage = usage_of(answer.get("usage")) or guessed(call, answer)
        cost = pricing.cost(terms.price, usage, terms.rate, batch=True)
    code = error.get("code") if isinstance(error, dict) else None
    if code is None and isinstance(answer, dict) and isinstance(answer.get("error"), dict):
        code = answer["error"].get("code") or answer["error"].get("type")
    ended = {"batch_expired": "expired", "batch_cancelled": "cancelled"}.get(str(code), "failed")
    written = {**told, "id": results.ref_of(line.pk)}
    return LineEnd(
        batch=work.running,
        pk=line.pk,
        line_no=line.line_no,
        attempt_no=line.attempt_no,
        held_nano_usd=line.estimated_nano_usd,
        held_tokens=line.estimated_tokens,
        status="completed" if usage is not None else ended,
        status_code=status or None,
        error_code=None if usage is not None else str(code or "provider_error")[:60],
        body=orjson.dumps(written).decode(),
        ended_at=clock.now(),
        usage=usage,
        cost=cost if terms.priced else None,
        charged_nano_usd=cost.usd_nano if cost is not None else 0,
    )
