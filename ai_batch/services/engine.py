"""The hub's own engine: this process's share of the lines of all batches, on its event loop.

It begins when a bell rings and ends when nothing is left to take. Slots are dealt to companies in
turn: who runs fewest lines here is served first, so that one company's fifty thousand lines leave
room for another's ten. A slot is free again when the provider has answered; the settlements follow.
A few lines more than there are slots are taken: a free slot need not wait for a claim.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, defaultdict
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

from django.conf import settings
from django.db.models import Exists, OuterRef

from ai_batch.domain import grouping
from ai_batch.models import Batch, Line
from ai_batch.services import line_spool, running, screening
from ai_batch.services.claim import TAKE_LINES, Take, Taken
from ai_batch.services.running import Run, Work
from ai_batch.services.settle import SETTLE_LINES, SETTLE_SLICES, LineEnd
from ai_core.services import gates
from ai_core.services.sessions import PROCESS
from ai_providers.domain.wire import Completion
from megahub.kernel import journal, loop, queue
from megahub.kernel.errors import HubError, RateLimited, ServerError
from megahub.kernel.spool import Segment, Spool

log = logging.getLogger(__name__)

#: How often it is looked which batches there are.
LOOK_SECONDS = 1.0
EMBEDDINGS = "/v1/embeddings"
#: Lines taken at a time, at most: companies take turns between.
AT_ONCE = 50
#: One line for so many slots is taken ahead of a slot.
AHEAD = 5
#: Ends that may wait for the database before no more lines are taken.
MOST_SETTLING = 500
#: What is not settled after so long must outlive the machine, too.
SYNC_AFTER_SECONDS = 0.25


class Engine:
    """One per process. ``active`` counts the lines that are being called or are about to, by company."""

    def __init__(self) -> None:
        self.slots = settings.HUB_BATCH_SLOTS
        self.active: Counter[int] = Counter()
        self._calls = asyncio.Semaphore(self.slots)
        self.settling = 0
        self._ends: list[LineEnd] = []
        self._apart: list[Spool] = []
        self._waiting: list[Work] = []
        self._dry: dict[int, float] = {}
        self._after: dict[int, int] = defaultdict(int)
        self._closed: dict[int, float] = {}
        self._looked = 0.0
        self._bell = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._children: set[asyncio.Task[None]] = set()

    def wake(self) -> None:
        """Look at once whether there is something to do. On the loop."""
        self._looked = 0.0
        self._dry.clear()
        self._bell.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._pump())

    async def _pump(self) -> None:
        try:
            while not PROCESS.draining:
                self._bell.clear()
                took = await self._round()
                if took:
                    continue
                if not self.active.total() and not self._waiting:
                    return
                await self._rest()
        except Exception:
            # Beat rings again; until then other processes go on.
            log.exception("the engine of batches broke")

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(LOOK_SECONDS / 4):
                await self._bell.wait()
        except TimeoutError:
            return

    async def _round(self) -> bool:
        """Take lines for the free slots, once; whether there were any."""
        free = self._room()
        if not free or self.settling > MOST_SETTLING:
            return False
        if time.monotonic() - self._looked > LOOK_SECONDS:
            self._looked = time.monotonic()
            self._waiting = await loop.in_thread(waiting)
            await loop.in_thread(gates.refresh)
        for work in self._ready():
            most = await self._most(work)
            if most > 0:
                await self._take(work, min(free, most))
                return True
        return False

    async def _most(self, work: Work) -> int:
        """How many lines may be begun: the company's share, and what the provider is trusted with.

        More would be refused at the gate, and their whole batch rest for seconds.
        """
        companies = len({each.running.company_id for each in self._waiting})
        share = max(1, self._most_taken() // max(1, companies))
        now = self.active[work.running.company_id]
        most = min(AT_ONCE, max(1, share - now))
        trusted = await running.most(work)
        return most if trusted is None else min(most, trusted - now)

    def _room(self) -> int:
        """How many lines may be taken; none while it is not worth a claim."""
        free = self._most_taken() - self.active.total()
        return free if free >= max(1, self.slots // 20) else 0

    def _most_taken(self) -> int:
        return self.slots + max(1, self.slots // AHEAD)

    def _ready(self) -> list[Work]:
        """The batches that may have lines: of the company that runs fewest here first, its oldest first."""
        now = time.monotonic()
        ready = [
            work
            for work in self._waiting
            if max(self._dry.get(work.running.pk, 0), self._closed.get(work.running.pk, 0)) <= now
        ]
        return sorted(ready, key=lambda work: self.active[work.running.company_id])

    async def _take(self, work: Work, most: int) -> None:
        pk = work.running.pk
        known = PROCESS.session_id
        session_id = await loop.in_thread(PROCESS.begin) if known is None else known
        lines = await journal.write(TAKE_LINES, Take(pk, session_id, self._after[pk], most))
        if not lines:
            if self._after[pk]:
                self._after[pk] = 0  # what was given back lies before
            else:
                self._dry[pk] = time.monotonic() + LOOK_SECONDS
            return
        self._after[pk] = lines[-1].line_no
        self.active[work.running.company_id] += len(lines)
        PROCESS.claiming += len(lines)
        self._spawn(self._run(work, lines))

    async def _run(self, work: Work, lines: list[Taken]) -> None:
        try:
            contents = await loop.in_thread(running.contents, work, lines)
        except FileNotFoundError:
            error = ServerError("The content of the batch's file is gone.")
            for line in lines:
                self._free(work)
                self._end(running.refused(work, line, error))
            return
        if work.endpoint == EMBEDDINGS:
            await self._embed(work, lines, contents)
            return
        for line, raw in zip(lines, contents, strict=True):
            self._spawn(self._line(work, line, raw))

    async def _embed(self, work: Work, lines: list[Taken], contents: list[bytes]) -> None:
        """Embeddings go together: one call for many lines of the same parameters."""
        runs: list[tuple[Run, dict[str, Any]]] = []
        for line, raw in zip(lines, contents, strict=True):
            try:
                run = await self._prepared(work, line, raw)
            except HubError as error:
                self._free(work)
                self._spawn(self._failed(work, line, error, time.monotonic()))
                continue
            runs.append((run, run.call.params))
        for group in grouping.together(runs):
            self._spawn(self._group(work, group))

    async def _group(self, work: Work, group: list[Run]) -> None:
        if len(group) == 1:
            await self._alone(work, group[0])
            return
        inputs = [text for run in group for text in grouping.inputs_of(run.call.params) or ()]
        whole = replace(
            group[0], call=replace(group[0].call, params={**group[0].call.params, "input": inputs})
        )
        try:
            answers = grouping.apart(await self._asked(whole), [run.call.params for run in group])
        except HubError as error:
            if error.retryable:
                for run in group:
                    self._free(work)
                    self._spawn(self._failed(work, run.line, error, run.began))
                return
            answers = None  # one of them is at fault: each is asked alone
        if answers is None:
            for run in group:
                self._spawn(self._alone(work, run))
            return
        for run, answer in zip(group, answers, strict=True):
            self._free(work)
            self._end(running.succeeded(run, answer))

    async def _line(self, work: Work, line: Taken, raw: bytes) -> None:
        began = time.monotonic()
        try:
            run = await self._prepared(work, line, raw)
        except Exception as error:  # noqa: BLE001 - what is wrong with a line ends that line only
            self._free(work)
            await self._failed(work, line, _as_hub_error(work, line, error), began)
            return
        await self._alone(work, run)

    @staticmethod
    async def _prepared(work: Work, line: Taken, raw: bytes) -> Run:
        run = await running.prepare(work, line, raw)
        await screening.request(work, line.pk, run.call.params, again=line.attempt_no > 1)
        return run

    async def _alone(self, work: Work, run: Run) -> None:
        try:
            completion = await self._asked(run)
            ended = running.succeeded(run, completion)
        except Exception as error:  # noqa: BLE001 - what is wrong with a line ends that line only
            self._free(work)
            await self._failed(work, run.line, _as_hub_error(work, run.line, error), run.began)
            return
        self._free(work)
        apart = None
        try:
            if await screening.takes_a_while(work):
                apart = line_spool.SPOOL.keep_apart([replace(ended, unseen=True)])
            await screening.answer(work, run.line.pk, completion.body)
        except Exception as error:  # noqa: BLE001 - it was answered, and is paid: never asked again
            ended = screening.withheld(ended, run.line.custom_id, _as_hub_error(work, run.line, error))
        if apart is not None:
            self._apart.append(apart)
        self._end(ended)

    async def _asked(self, run: Run) -> Completion:
        """The provider's answer, asked for as soon as a slot is free. Raises HubError."""
        async with self._calls:
            run.began = time.monotonic()
            return await running.ask(run)

    def _free(self, work: Work) -> None:
        self.active[work.running.company_id] -= 1
        self.settling += 1
        if self._room():
            self._bell.set()

    async def _failed(self, work: Work, line: Taken, error: HubError, began: float) -> None:
        if isinstance(error, RateLimited):
            self._closed[work.running.pk] = time.monotonic() + (error.retry_after or 1.0)
        later = running.again_at(work, line, error)
        if later is None:
            elapsed_ms = int((time.monotonic() - began) * 1000)
            self._end(running.refused(work, line, error, elapsed_ms))
            return
        try:
            await running.give_back(line, error, later)
        finally:
            self._settled(1)

    def _end(self, ended: LineEnd) -> None:
        """A line has ended: it is settled with those that end in the same turn of the loop."""
        self._ends.append(ended)
        if len(self._ends) == 1:
            asyncio.get_running_loop().call_soon(self._settle_together)

    def _settle_together(self) -> None:
        ends, self._ends = self._ends, []
        apart, self._apart = self._apart, []
        self._spawn(self._settle(ends, apart))

    async def _settle(self, ends: list[LineEnd], apart: list[Spool]) -> None:
        """One record of the spool and one entry of the journal for all of them.

        What lay ``apart`` while the filter looked at it goes as soon as what it said is written down.
        """
        paid = [ended for ended in ends if ended.usage is not None]
        mark = line_spool.SPOOL.keep(paid) if paid else None
        for each in apart:
            each.drop()
        try:
            through = await _written(ends, mark)
            line_spool.SPOOL.done((mark,))
        finally:
            self._settled(len(ends))
        for pk in {ended.batch.pk for ended, told in zip(ends, through, strict=True) if told}:
            queue.ring("ai_batch.finish", pk, queue="normal")

    def _settled(self, lines: int) -> None:
        self.settling -= lines
        PROCESS.claiming -= lines
        self._bell.set()

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._children.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._children.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a line's run broke outside of its line", exc_info=error)


async def _written(ends: list[LineEnd], mark: Segment | None) -> list[bool | None]:
    """Settle lines together, or one by one when one of them cannot be written.

    While the database is slow or away, what was heard is put on the disk itself.
    """
    writing = asyncio.ensure_future(journal.write(SETTLE_SLICES, ends))
    done, _ = await asyncio.wait((writing,), timeout=SYNC_AFTER_SECONDS)
    if not done:
        await loop.in_thread(line_spool.SPOOL.sync, mark)
    try:
        found: list[bool | None] = await writing
    except ServerError:
        found = await asyncio.gather(*(journal.write(SETTLE_LINES, ended) for ended in ends))
    return found


def _as_hub_error(work: Work, line: Taken, error: Exception) -> HubError:
    if isinstance(error, HubError):
        return error
    log.error("line %s of batch %s broke", line.line_no, work.batch_ref, exc_info=error)
    return ServerError()


def waiting() -> list[Work]:
    """The batches of the hub's engine that have lines to be run, the oldest first."""
    pending = Line.objects.filter(batch=OuterRef("pk"), status="pending")
    rows = Batch.objects.unscoped().filter(Exists(pending), status="in_progress", stop="", engine="hub")
    return [Work.of(batch) for batch in rows.select_related("input_file").order_by("created_at", "pk")]


_engines: dict[int, Engine] = {}


async def wake() -> None:
    """Wake the engine of this event loop."""
    key = id(asyncio.get_running_loop())
    if key not in _engines:
        _engines[key] = Engine()
    _engines[key].wake()
