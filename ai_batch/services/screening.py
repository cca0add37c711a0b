"""The company's content filter on the lines of a batch, whichever engine runs them.

A line whose request is blocked is never sent and costs nothing; one whose answer is blocked is paid for,
as a job is, and nobody reads it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ai_batch.domain import results
from ai_batch.domain.lines import ENDPOINTS, Place, Problem, request_of
from ai_batch.models import Batch, Line
from ai_batch.services import claim, files, leases, running
from ai_batch.services.running import Work
from ai_batch.services.settle import SETTLE_SLICES, LineEnd
from ai_core.services import guarding
from ai_core.services.guarding import Guarded
from ai_core.services.sessions import PROCESS
from ai_guard.domain.refusals import ContentBlocked
from ai_guard.services import policies
from ai_guard.services.policies import Policy
from megahub.kernel import journal, loop
from megahub.kernel.errors import HubError

AT_ONCE = 200
#: Questions to the provider's moderation that a batch asks at once.
QUESTIONS = 20
#: Answers that hold texts.
SAYING = ("chat", "completions", "responses")


async def request(work: Work, pk: int, value: Any, *, again: bool = False) -> None:
    """Look at what a line asks; what is only flagged is counted once (``again``: another attempt).

    Raises ContentBlocked, ContentUnchecked.
    """
    policy = await policies.of(work.running.company_id)
    if policy.looks and not (again and policy.content_filter == "flag"):
        await guarding.look(_who(work, pk, policy), "input", value)


async def takes_a_while(work: Work) -> bool:
    """Whether looking at an answer asks the provider: meanwhile its process may be killed."""
    return ENDPOINTS[work.endpoint] in SAYING and (await policies.of(work.running.company_id)).moderation


async def answer(work: Work, pk: int, value: Any) -> None:
    """Look at what a line was answered. Raises ContentBlocked, ContentUnchecked."""
    policy = await policies.of(work.running.company_id)
    if policy.looks and ENDPOINTS[work.endpoint] in SAYING:
        await guarding.look(_who(work, pk, policy), "output", value)


def _who(work: Work, pk: int, policy: Policy) -> Guarded:
    of = work.running
    return Guarded(of.company_id, of.brand_id, of.model, results.ref_of(pk), policy)


def withheld(ended: LineEnd, custom_id: str, error: HubError) -> LineEnd:
    """The end of a line whose answer nobody may read: an error, at what the answer has cost."""
    return replace(
        ended,
        status="failed",
        status_code=error.status,
        error_code=error.code.lower(),
        body=results.refused(ended.pk, custom_id, error, results.ref_of(ended.pk)),
    )


async def before_handing_over(batch: Batch) -> None:
    """Look at every line that the provider is to run; those that are blocked end here.

    Raises ContentUnchecked: then the batch waits.
    """
    policy = await policies.of(batch.company_id)
    if batch.provider_round or not policy.looks:
        return
    work, after = await loop.in_thread(Work.of, batch), 0
    while lines := await loop.in_thread(_next, batch, after):
        after = lines[-1][0].line_no
        blocked = await _blocked(work, lines)
        if blocked:
            await _end(work, blocked)
        await loop.in_thread(leases.renew, batch.pk)


def _next(batch: Batch, after: int) -> list[tuple[Line, dict[str, Any]]]:
    """Some lines behind number ``after``, with their requests' bodies."""
    rows = list(batch.lines.filter(status="pending", line_no__gt=after).order_by("line_no")[:AT_ONCE])
    if not rows:
        return []
    assert batch.input_file is not None
    found = []
    with files.open_content(batch.input_file) as content:
        for line in rows:
            content.seek(line.offset)
            place = Place(line.line_no, line.offset, content.read(line.length))
            read = request_of(place, batch.endpoint)
            assert not isinstance(read, Problem)  # it was checked when it was taken in
            found.append((line, read.body))
    return found


async def _blocked(work: Work, lines: list[tuple[Line, dict[str, Any]]]) -> dict[int, ContentBlocked]:
    """Which lines are blocked, by number. Raises ContentUnchecked."""
    found: dict[int, ContentBlocked] = {}

    async def look(line: Line, body: dict[str, Any]) -> None:
        try:
            await request(work, line.pk, body)
        except ContentBlocked as error:
            found[line.line_no] = error

    await each(look(line, body) for line, body in lines)
    return found


async def each(looks: Any) -> None:
    """So many at once; all have ended when the first failure of them is raised."""
    room = asyncio.Semaphore(QUESTIONS)

    async def one(look: Any) -> None:
        async with room:
            await look

    failures = await asyncio.gather(*map(one, looks), return_exceptions=True)
    for failure in failures:
        if isinstance(failure, BaseException):
            raise failure


async def _end(work: Work, blocked: dict[int, ContentBlocked]) -> None:
    known = PROCESS.session_id
    session_id = await loop.in_thread(PROCESS.begin) if known is None else known
    taken: Sequence[claim.Taken] = await loop.in_thread(
        claim.take_these, work.running.pk, list(blocked), session_id
    )
    ends = [running.refused(work, line, blocked[line.line_no]) for line in taken]
    await journal.write(SETTLE_SLICES, ends)
