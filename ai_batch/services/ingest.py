"""A batch's file becomes lines: read line by line, checked, estimated, held for; or the batch fails.

Lines are written a slice at a time with how far the file was read. A process that dies is followed by
one that reads the file again and writes what is missing; a process that was given up for dead finds
its checkpoint moved, and stops.
"""

from __future__ import annotations

import logging
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from ai_batch import selectors
from ai_batch.domain.lines import (
    MAX_REQUESTS,
    Inspection,
    Place,
    Problem,
    Request,
    foreign,
    places,
)
from ai_batch.models import Batch
from ai_batch.services import checking, ending, files, leases, reserving
from ai_batch.services.checking import Checker
from ai_batch.services.holding import SLICE_LINES
from megahub.delivery import selectors as webhooks
from megahub.kernel import clock, journal, sql
from megahub.kernel.session import Session

log = logging.getLogger(__name__)

LINES = sql.Rows(
    "r",
    {
        "batch_id": "int",
        "line_no": "int",
        "custom_id": "text",
        "offset_": "int",
        "length": "int",
        "slice_no": "int",
        "estimated_nano_usd": "int",
        "estimated_tokens": "int",
    },
)
INSERT = (
    'INSERT INTO ai_batch_line (batch_id, line_no, custom_id, "offset", length, slice_no, status,'
    " attempt_no, tries, unknown, estimated_nano_usd, estimated_tokens, input_tokens, cached_tokens,"
    " output_tokens, reasoning_tokens) SELECT r.batch_id, r.line_no, r.custom_id, r.offset_, r.length,"
    " r.slice_no, 'pending', 0, 0, 0, r.estimated_nano_usd, r.estimated_tokens, 0, 0, 0, 0 FROM {source}"
)
STEP = (
    "UPDATE ai_batch_batch SET checkpoint_line = %s, checkpoint_byte = %s, total = total + %s,"
    " estimated_nano_usd = estimated_nano_usd + %s, estimated_tokens = estimated_tokens + %s,"
    " lease_until = %s WHERE id = %s AND status = 'validating' AND checkpoint_line = %s"
)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Lines to be written together, and how far the file is read with them."""

    batch_pk: int
    before: int
    line: int
    byte: int
    rows: list[dict[str, Any]]
    nano_usd: int
    tokens: int


class Ingest:
    """Journal writer: False when somebody else has gone on with the batch, or it was stopped."""

    lane = "batch"
    keep = False

    def write(self, session: Session, entries: list[Chunk]) -> list[bool]:
        return [self._step(session, entry) for entry in entries]

    def recover(self, session: Session, entry: Chunk) -> bool | None:
        """True when the checkpoint is there."""
        rows = session.rows("SELECT checkpoint_line FROM ai_batch_batch WHERE id = %s", [entry.batch_pk])
        return True if rows and rows[0][0] == entry.line else None

    @staticmethod
    def _step(session: Session, entry: Chunk) -> bool:
        lease = session.time(clock.now() + leases.LEASE)
        params = [entry.line, entry.byte, len(entry.rows), entry.nano_usd, entry.tokens, lease]
        if session.count(STEP, [*params, entry.batch_pk, entry.before]) != 1:
            return False
        if entry.rows:
            session.execute(INSERT.format(source=LINES.source), [LINES.pack(entry.rows)])
        return True


INGEST = Ingest()


class Lost(Exception):
    """Somebody else works on the batch by now, or nobody is to."""


def validate(batch_pk: int) -> bool:
    """Read a batch's file and begin it, or fail it; False when it is not this process's to do."""
    batch = leases.take(batch_pk, "validating")
    if batch is None:
        return False
    try:
        _validate(batch)
    except Lost:
        return False
    except BaseException:
        leases.release(batch_pk)
        raise
    return True


def _validate(batch: Batch) -> None:
    file = batch.input_file
    if file is None or file.deleted_at is not None:
        message = (
            f"Cannot find file {batch.file_asked}, or company"
            f" {batch.company_id} does not have access to it."
        )
        fail(batch, [Problem("invalid_request", message, "file_id")], 1)
        return
    reading = Reading(batch)
    try:
        reading.through()
    except FileNotFoundError:
        message = f"The content of file {file.file_id} is gone."
        fail(batch, [Problem("invalid_request", message, "file_id")], 1)
        return
    found = reading.inspection
    if found.count:
        fail(batch, found.problems, found.count)
        return
    reserving.begin(batch, reading.checker)


def fail(batch: Batch, problems: list[Problem], count: int) -> None:
    """End a batch that cannot begin; nothing of it is held any more."""
    told = [problem.as_dict() for problem in problems]
    wanted = webhooks.wanted_now(batch.company_id)
    journal.write_and_wait(ending.FAIL_BATCH, ending.failure(batch, told, count, wanted))


class Reading:
    """One reading of a batch's file; what was written of it before is read again, and not written."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.inspection = Inspection(batch.endpoint)
        self.checker = Checker(batch, selectors.policy_of(batch.company_id))
        self._written = batch.checkpoint_line
        self._requests = 0
        self._rows: list[dict[str, Any]] = []
        self._nano_usd = self._tokens = 0
        self._writing: Future[Any] | None = None

    def through(self) -> None:
        """Read all of it. Raises Lost, FileNotFoundError."""
        assert self.batch.input_file is not None
        with files.open_content(self.batch.input_file) as file:
            odd = foreign(file.read(64))
            if odd is not None:
                self.inspection.total = 1
                self.inspection.tell(odd)
                return
            last = None
            for place in places(file):
                request = self.inspection.read(place)
                if request is not None and self.inspection.total <= MAX_REQUESTS:
                    self._take(place, request)
                last = place
            self.inspection.finish()
            if last is not None and not self.inspection.count:
                self._write(last)
            self.settle()

    def _take(self, place: Place, request: Request) -> None:
        found = self.checker.check(request)
        if isinstance(found, checking.Refused):
            self.inspection.tell(found.problem(place.number))
            return
        self._requests += 1
        assert place.raw is not None
        if self.inspection.count:
            return  # the batch fails: only what else is wrong is of interest
        if place.number > self._written:
            self._rows.append(
                {
                    "batch_id": self.batch.pk,
                    "line_no": place.number,
                    "custom_id": request.custom_id,
                    "offset_": place.offset,
                    "length": len(place.raw),
                    "slice_no": (self._requests - 1) // SLICE_LINES,
                    "estimated_nano_usd": found.usd_nano,
                    "estimated_tokens": found.tokens,
                }
            )
            self._nano_usd += found.usd_nano
            self._tokens += found.tokens
        if len(self._rows) >= SLICE_LINES:
            self._write(place)

    def settle(self) -> None:
        """Wait for the slice that is being written. Raises Lost."""
        writing, self._writing = self._writing, None
        if writing is not None and not writing.result():
            raise Lost

    def _write(self, place: Place) -> None:
        if place.number <= self._written:
            return
        end = place.offset + len(place.raw or b"")
        chunk = Chunk(
            self.batch.pk, self._written, place.number, end, self._rows, self._nano_usd, self._tokens
        )
        self.settle()
        # The database writes this slice while the next one is read.
        self._writing = journal.submit(INGEST, chunk)
        self._written = place.number
        self._rows, self._nano_usd, self._tokens = [], 0, 0
