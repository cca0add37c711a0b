"""The response spool: what a call came to outlives the process that is about to settle it.

A settlement is written into the process's spool (megahub/kernel/spool.py) the moment the answer is
there, and crossed out once it is committed. What a dead process left is settled by whoever finds it on
the same host; the fence and the attempt's phase decide whether it still counts.
"""

from __future__ import annotations

import logging
import socket
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
from django.conf import settings

from ai_core.models import Attempt, WorkerSession
from ai_core.services.sessions import PROCESS, silent_since
from ai_core.services.settle import SETTLE, Settlement
from ai_providers.domain.pricing import Cost, Rate
from ai_providers.domain.wire import Usage
from megahub.delivery import selectors as webhooks
from megahub.kernel import clock, journal, spool
from megahub.kernel.spool import Leftover, Segment, Spool

log = logging.getLogger(__name__)

_own: dict[int, Spool] = {}


def folder() -> Path:
    """Where the processes of this host keep their spools."""
    return Path(settings.HUB_SPOOL_DIR)


def keep(settlement: Settlement) -> Segment | None:
    """Write down how an attempt ended; ``done`` crosses it out. None when the disk does not take it."""
    try:
        return _spool().put(pack(settlement))
    except OSError as error:
        log.error("an answer could not be spooled: %s", error)
        return None


def done(marks: list[Segment | None]) -> None:
    """What these records say is settled."""
    own = _own.get(PROCESS.session_id or 0)
    for mark in marks:
        if mark is not None and own is not None:
            own.done(mark)
    marks.clear()


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
    """Settle what dead (or long silent) processes of this host had not settled; how many ended jobs."""
    return sum(_replayed(path) for path in spool.found(folder()))


def _replayed(path: Path) -> int:
    """One file; what cannot be read or settled now is left for the next time."""
    try:
        with spool.leftover(path) as left:
            session = WorkerSession.objects.filter(pk=left.owner["session"]).first()
            if not left.is_dead and not _is_silent(session):
                return 0
            settled = sum(_settled(each) for each in _open(left))
            if left.is_dead:
                _bury(session, left)
            return settled
    except FileNotFoundError:
        return 0  # another reaper was quicker
    except Exception:  # a file that nobody can read keeps no lost job from being taken back
        log.exception("the spool %s could not be settled", path.name)
        return 0


def _is_silent(session: WorkerSession | None) -> bool:
    return session is None or session.ended_at is not None or session.beat_at < silent_since()


def _bury(session: WorkerSession | None, left: Leftover) -> None:
    """A process whose file is free is dead: its other jobs need not wait until it is missed."""
    if session is not None and session.ended_at is None:
        WorkerSession.objects.filter(pk=session.pk, ended_at=None).update(ended_at=clock.now())
    left.remove()


def _open(left: Leftover) -> list[Settlement]:
    """The last word on each attempt of which it is not known yet how it ended."""
    said = {each.key: each for each in map(unpack, left.records)}
    open_ones = Attempt.objects.filter(
        job_id__in={pk for pk, _ in said}, phase__in=("calling", "unknown")
    ).values_list("job_id", "attempt_no")
    return [said[key] for key in open_ones if key in said]


def _settled(settlement: Settlement) -> bool:
    wanted = webhooks.wanted_now(settlement.company_id)
    return bool(journal.write_and_wait(SETTLE, replace(settlement, wanted=wanted)))


def pack(settlement: Settlement) -> bytes:
    """A settlement as bytes."""
    return orjson.dumps(settlement, default=_plain)


def unpack(content: bytes) -> Settlement:
    """The settlement that ``pack`` was given, but for the events that were wanted of it."""
    facts: dict[str, Any] = orjson.loads(content)
    facts["ended_at"] = datetime.fromisoformat(facts["ended_at"])
    for name in ("response", "input_data"):
        facts[name] = facts[name].encode() if facts.get(name) is not None else None
    # What an earlier release wrote has neither this nor input_data.
    if facts.get("forget_at") is not None:
        facts["forget_at"] = datetime.fromisoformat(facts["forget_at"])
    facts["usage"] = Usage(**facts["usage"]) if facts["usage"] else None
    facts["cost"] = cost_of(facts["cost"]) if facts["cost"] else None
    return Settlement(**{**facts, "wanted": frozenset()})


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    return sorted(value) if isinstance(value, frozenset) else str(value)


def cost_of(facts: dict[str, Any]) -> Cost:
    """A cost as ``pack`` writes it."""
    rate = facts["rate"]
    told = Rate(rate["currency"], Decimal(rate["usd"]), date.fromisoformat(rate["day"]))
    since = date.fromisoformat(facts["price_since"])
    return Cost(facts["currency"], facts["input_nano"], facts["output_nano"], told, since)
