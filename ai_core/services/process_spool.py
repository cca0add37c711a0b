"""What this process has heard and not settled yet, kept on its host's disk: one spool for each kind of end.

An end is written down the moment it is heard and crossed out once it is committed
(megahub/kernel/spool.py). What a dead or long silent process left is settled by whoever finds it on the
same host; the fence decides whether it still counts.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from django.conf import settings

from ai_core.models import WorkerSession
from ai_core.services.sessions import PROCESS, silent_since
from megahub.kernel import clock, spool
from megahub.kernel.spool import Leftover, Segment, Spool

log = logging.getLogger(__name__)

E = TypeVar("E")


@dataclass(slots=True)
class ProcessSpool(Generic[E]):
    """The spools of one kind of ends: below HUB_SPOOL_DIR in ``below``, a file for each process.

    ``still_open`` keeps of what was read what nobody has settled; ``settle`` says whether it did now.
    """

    below: str
    pack: Callable[[E], bytes]
    unpack: Callable[[bytes], E]
    still_open: Callable[[list[E]], list[E]]
    settle: Callable[[E], bool]
    own: dict[int, Spool] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where the processes of this host keep them."""
        return Path(settings.HUB_SPOOL_DIR) / self.below

    def keep(self, ended: E) -> Segment | None:
        """Write down how something ended; ``done`` crosses it out. None when the disk does not take it."""
        try:
            return self._spool().put(self.pack(ended))
        except OSError as error:
            log.error("an answer could not be spooled: %s", error)
            return None

    def keep_apart(self, ended: E) -> Spool | None:
        """Write down in a file of its own what must not stay a moment longer than it is needed.

        ``drop`` takes the file away; in the common one a record lies until the file is emptied.
        """
        try:
            own = Spool(self.folder, _owner())
            own.put(self.pack(ended))
        except OSError as error:
            log.error("an answer could not be spooled: %s", error)
            return None
        return own

    def sync(self, mark: Segment | None) -> None:
        """See to it that a record outlives the machine, too; in a thread."""
        own = self.own.get(PROCESS.session_id or 0)
        if mark is not None and own is not None:
            own.sync(mark)

    def done(self, marks: Iterable[Segment | None]) -> None:
        """What these records say is settled."""
        own = self.own.get(PROCESS.session_id or 0)
        for mark in marks:
            if mark is not None and own is not None:
                own.done(mark)

    def close(self) -> None:
        """This process ends: what it still needs stays for others to find."""
        for own in self.own.values():
            own.close()
        self.own.clear()

    def replay(self) -> int:
        """Settle what dead (or long silent) processes of this host had not; how many ends counted."""
        return sum(self._replayed(path) for path in spool.found(self.folder))

    def _spool(self) -> Spool:
        session_id = PROCESS.session_id or 0
        found = self.own.get(session_id)
        if found is None:
            found = self.own[session_id] = Spool(self.folder, _owner())
        return found

    def _replayed(self, path: Path) -> int:
        """One file; what cannot be read or settled now is left for the next time."""
        try:
            with spool.leftover(path) as left:
                session = WorkerSession.objects.filter(pk=left.owner["session"]).first()
                if not left.is_dead and not _is_silent(session):
                    return 0
                heard = self.still_open([self.unpack(record) for record in left.records])
                settled = sum(self.settle(each) for each in heard)
                if left.is_dead:
                    _bury(session, left)
                return settled
        except FileNotFoundError:
            return 0  # another reaper was quicker
        except Exception:  # a file that nobody can read keeps nothing lost from being taken back
            log.exception("the spool %s could not be settled", path.name)
            return 0


def _owner() -> dict[str, Any]:
    return {"session": PROCESS.session_id or 0, "host": socket.gethostname()}


def _is_silent(session: WorkerSession | None) -> bool:
    return session is None or session.ended_at is not None or session.beat_at < silent_since()


def _bury(session: WorkerSession | None, left: Leftover) -> None:
    """A process whose file is free is dead: what else it had need not wait until it is missed."""
    if session is not None and session.ended_at is None:
        WorkerSession.objects.filter(pk=session.pk, ended_at=None).update(ended_at=clock.now())
    left.remove()
