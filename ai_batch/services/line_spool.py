"""What the hub's engine heard of a line outlives the process that is about to settle it.

As for jobs (ai_core/services/spooling.py), in a folder beside theirs. Beat settles what a killed process
left before its lines are taken back; the attempt's number decides whether it still counts.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson

from ai_batch.domain import results
from ai_batch.models import Line
from ai_batch.services import screening
from ai_batch.services.settle import SETTLE_LINES, LineEnd, Running
from ai_core.services import guarding, spooling
from ai_core.services.process_spool import ProcessSpool
from ai_providers.domain.wire import Usage
from megahub.kernel import journal, queue


def _still_open(heard: list[list[LineEnd]]) -> list[list[LineEnd]]:
    """The ends of the attempts that are still thought to run, one by one."""
    ended = sorted((end for ends in heard for end in ends), key=lambda end: not end.unseen)
    said = {(end.pk, end.attempt_no): end for end in ended}
    running = Line.objects.filter(pk__in={pk for pk, _ in said}, status="running")
    return [[said[key]] for key in running.values_list("pk", "attempt_no") if key in said]


def _settled(ends: list[LineEnd]) -> bool:
    ended = _seen(ends[0])
    through = journal.write_and_wait(SETTLE_LINES, ended)
    if through:
        queue.ring("ai_batch.finish", ended.batch.pk, queue="normal")
    return through is not None


def _seen(ended: LineEnd) -> LineEnd:
    """An answer that nobody has looked at is looked at before anybody reads it; it is paid either way."""
    if not ended.unseen:
        return ended
    said, of = orjson.loads(ended.body), ended.batch
    ref = results.ref_of(ended.pk)
    error = guarding.verdict(of.company_id, of.brand_id, of.model, ref, said["response"]["body"])
    return ended if error is None else screening.withheld(ended, said["custom_id"], error)


def pack(ends: list[LineEnd]) -> bytes:
    """The ends of lines that ended together as bytes."""
    return orjson.dumps(ends, default=str)


def unpack(content: bytes) -> list[LineEnd]:
    """The ends that ``pack`` was given."""
    found = orjson.loads(content)
    # An earlier release wrote each by itself.
    return [_end(facts) for facts in (found if isinstance(found, list) else [found])]


def _end(facts: dict[str, Any]) -> LineEnd:
    facts["ended_at"] = datetime.fromisoformat(facts["ended_at"])
    facts["batch"] = Running(**facts["batch"])
    facts["usage"] = Usage(**facts["usage"]) if facts["usage"] else None
    facts["cost"] = spooling.cost_of(facts["cost"]) if facts["cost"] else None
    return LineEnd(**facts)


SPOOL: ProcessSpool[list[LineEnd]] = ProcessSpool("lines", pack, unpack, _still_open, _settled)
