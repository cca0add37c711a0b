"""What the hub's engine heard of a line outlives the process that is about to settle it.

As for jobs (ai_core/services/spooling.py), in a folder beside theirs: written the moment the answer is
there, crossed out once the line's end is committed. What a killed process left is settled by beat on the
same host before its lines are taken back; the attempt's number decides whether it still counts.
"""

from __future__ import annotations

import logging
import socket
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
from django.conf import settings

from ai_batch.models import Line
from ai_batch.services.settle import SETTLE_LINES, LineEnd, Running
from ai_core.models import WorkerSession
from ai_core.services import spooling
from ai_core.services.sessions import PROCESS, silent_since
from ai_providers.domain.wire import Usage
from megahub.kernel import journal, queue, spool
from megahub.kernel.errors import HubError
from megahub.kernel.spool import Leftover, Segment, Spool
from megahub.kernel.vault import Sealed

log = logging.getLogger(__name__)

_own: dict[int, Spool] = {}


def folder() -> Path:
    """Where the processes of this host keep what they heard of lines."""
    return Path(settings.HUB_SPOOL_DIR) / "lines"


def keep(ended: LineEnd) -> Segment | None:
    """Write down how a line ended; ``done`` crosses it out. None when the disk does not take it."""
    try:
        return _spool().put(pack(ended))
    except OSError as error:
        log.error("a line's answer could not be spooled: %s", error)
        return None


def done(mark: Segment | None) -> None:
    """What this record says is settled."""
    own = _own.get(PROCESS.session_id or 0)
    if mark is not None and own is not None:
        own.done(mark)


def close() -> None:
    """This process ends: what it still needs stays for others to find."""
    for own in _own.values():
        own.close()
    _own.clear()


def _spool() -> Spool:
    session_id = PROCESS.session_id or 0
    found = _own.get(session_id)
    if found is None:
        owner = {"session": session_id, "host": socket.gethostname()}
        found = _own[session_id] = Spool(folder(), owner)
    return found


def replay() -> int:
    """Settle what dead (or long silent) processes of this host had heard of lines; how many ended so."""
    return sum(_replayed(path) for path in spool.found(folder()))


def _replayed(path: Path) -> int:
    """One file; what cannot be read or settled now is left for the next time."""
    try:
        with spool.leftover(path) as left:
            if not left.is_dead and not _is_silent(left.owner["session"]):
                return 0
            settled = sum(_settled(each) for each in _open(left))
            if left.is_dead:
                left.remove()
            return settled
    except FileNotFoundError:
        return 0  # another reaper was quicker
    except (OSError, Sealed, HubError):
        log.exception("the spool %s could not be settled", path.name)
        return 0


def _is_silent(session_id: int) -> bool:
    alive = WorkerSession.objects.filter(pk=session_id, ended_at=None, beat_at__gte=silent_since())
    return not alive.exists()


def _open(left: Leftover) -> list[LineEnd]:
    """The ends of the attempts that are still thought to run."""
    said = {(each.pk, each.attempt_no): each for each in map(unpack, left.records)}
    running = Line.objects.filter(pk__in={pk for pk, _ in said}, status="running")
    return [said[key] for key in running.values_list("pk", "attempt_no") if key in said]


def _settled(ended: LineEnd) -> bool:
    through = journal.write_and_wait(SETTLE_LINES, ended)
    if through:
        queue.ring("ai_batch.finish", ended.batch.pk, queue="normal")
    return through is not None


def pack(ended: LineEnd) -> bytes:
    """A line's end as bytes."""
    return orjson.dumps(ended, default=str)


def unpack(content: bytes) -> LineEnd:
    """The end that ``pack`` was given."""
    facts: dict[str, Any] = orjson.loads(content)
    facts["ended_at"] = datetime.fromisoformat(facts["ended_at"])
    facts["batch"] = Running(**facts["batch"])
    facts["usage"] = Usage(**facts["usage"]) if facts["usage"] else None
    facts["cost"] = spooling.cost_of(facts["cost"]) if facts["cost"] else None
    return LineEnd(**facts)
