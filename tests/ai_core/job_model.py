"""Jobs as plain dictionaries: what should become of them, by the crash table of docs/reliability.md.

It knows nothing of the hub's code. A job holds one ``hold`` of the one budget while it is open.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

ENDS = frozenset({"completed", "failed", "cancelled", "timeout"})
MOST_ATTEMPTS = 4
Key = tuple[int, int]


@dataclass
class ModelJob:
    """``phases`` by attempt; ``closings`` are its ledger entries (kind, attempt, charged), in order."""

    pk: int
    is_async: bool
    status: str
    attempt_no: int = 0
    most: int = MOST_ATTEMPTS
    unknown: int = 0
    is_due: bool = True
    is_unwanted: bool = False
    text: str | None = None
    error: str | None = None
    phases: dict[int, str] = field(default_factory=dict)
    owners: dict[int, int] = field(default_factory=dict)
    ledger: list[tuple[str, int, int]] = field(default_factory=list)
    #: Calls that were told to be repeated: after an unknown outcome, and after a known failure.
    repeats: int = 0


@dataclass(frozen=True)
class Ended:
    """What a process says of its attempt. ``cost`` is None when nothing was used."""

    pk: int
    number: int
    status: str
    phase: str
    cost: int | None = None
    text: str | None = None
    error: str | None = None

    @property
    def is_known(self) -> bool:
        return self.cost is not None or self.phase != "unknown"


@dataclass
class ModelProcess:
    """``records`` is what is in its spool, the last word on each attempt; None without a file."""

    pk: int
    is_dead: bool = False
    is_silent: bool = False
    has_ended: bool = False
    records: dict[Key, Ended] | None = None


class Jobs:
    """The model; every method says whether the thing happens, and makes it happen."""

    def __init__(self, limit: int, hold: int) -> None:
        self.limit, self.hold = limit, hold
        self.jobs: dict[int, ModelJob] = {}
        self.processes: dict[int, ModelProcess] = {}
        self.exposed: set[Key] = set()
        self.spent = 0

    @property
    def reserved(self) -> int:
        return self.hold * sum(job.status not in ENDS for job in self.jobs.values())

    @property
    def has_room(self) -> bool:
        return self.reserved + self.spent + self.hold * (len(self.exposed) + 1) <= self.limit

    def accept(self, pk: int, is_async: bool, process: int) -> None:
        job = self.jobs[pk] = ModelJob(pk, is_async, "pending" if is_async else "running")
        if not is_async:
            self._call(job, process)

    def _call(self, job: ModelJob, process: int) -> None:
        job.attempt_no += 1
        job.phases[job.attempt_no] = "calling"
        job.owners[job.attempt_no] = process

    def claim(self, pk: int, process: int) -> bool:
        job = self.jobs[pk]
        if job.status != "pending" or not job.is_due:
            return False
        job.status = "running"
        self._call(job, process)
        return True

    def is_own(self, key: Key) -> bool:
        """The fence."""
        job = self.jobs[key[0]]
        return job.status == "running" and job.attempt_no == key[1]

    def put_off(self, key: Key) -> bool:
        job = self.jobs[key[0]]
        if not self.is_own(key) or job.is_unwanted:
            return False
        job.status, job.is_due = "pending", False
        del job.phases[key[1]]
        job.attempt_no -= 1
        return True

    def move_on(self, key: Key, phase: str, process: int) -> bool:
        """The next attempt at once, by the same process."""
        job = self.jobs[key[0]]
        if not self.is_own(key):
            return False
        job.unknown += phase == "unknown"
        self._end_attempt(job, phase)
        self._call(job, process)
        job.repeats += 1
        return True

    def give_back(self, key: Key, phase: str, *, is_due: bool = False) -> bool:
        job = self.jobs[key[0]]
        if not self.is_own(key) or job.is_unwanted:
            return False
        job.unknown += phase == "unknown"
        job.status, job.is_due = "pending", is_due
        self._end_attempt(job, phase)
        job.repeats += 1
        return True

    def _end_attempt(self, job: ModelJob, phase: str) -> None:
        job.phases[job.attempt_no] = phase
        if phase == "unknown":
            self.exposed.add((job.pk, job.attempt_no))

    def may_retry(self, key: Key, unknown_before: int, *, is_unknown: bool) -> bool:
        job = self.jobs[key[0]]
        if not job.is_async or key[1] >= job.most:
            return False
        return not is_unknown or unknown_before < 1

    def settle(self, ended: Ended) -> bool:
        """One settlement: its job's end, or a late cost."""
        job, key = self.jobs[ended.pk], (ended.pk, ended.number)
        if not self.is_own(key):
            self._come_late(job, ended)
            return False
        job.status, job.text, job.error = ended.status, ended.text, ended.error
        job.phases[ended.number] = ended.phase
        job.ledger.append(("void" if ended.cost is None else "settle", ended.number, ended.cost or 0))
        self.spent += ended.cost or 0
        if ended.cost is None and ended.phase == "unknown":
            self.exposed.add(key)
        return True

    def _come_late(self, job: ModelJob, ended: Ended) -> None:
        if not ended.is_known or job.phases.get(ended.number) not in ("calling", "unknown"):
            return
        job.phases[ended.number] = "late"
        self.exposed.discard((ended.pk, ended.number))
        if ended.cost is not None:
            job.ledger.append(("late", ended.number, ended.cost))
            self.spent += ended.cost

    def cancel(self, pk: int) -> str:
        job = self.jobs[pk]
        if job.status == "pending":
            job.status, job.error = "cancelled", "JOB_CANCELLED"
            job.ledger.append(("void", 0, 0))
            return "ended"
        if job.status == "running":
            job.is_unwanted = True
            return "flagged"
        return ""

    def reap(self, *, forgets: bool) -> None:
        """``forgets`` the unknown outcomes of until now, unless something is heard of them just now."""
        old = set(self.exposed) if forgets else set()
        for process in self.processes.values():
            self._replay(process)
        self.exposed -= old
        for job in self.jobs.values():
            if job.status == "running" and self._is_gone(job.owners[job.attempt_no]):
                self._take_back(job)

    def _replay(self, process: ModelProcess) -> None:
        given_up = process.is_dead or process.is_silent or process.has_ended
        if process.records is None or not given_up:
            return
        for key, ended in process.records.items():
            if self.jobs[key[0]].phases.get(key[1]) in ("calling", "unknown"):
                self.settle(ended)
        if process.is_dead:
            process.records, process.has_ended = None, True

    def _is_gone(self, pk: int) -> bool:
        process = self.processes[pk]
        return process.is_silent or process.has_ended

    def _take_back(self, job: ModelJob) -> None:
        key = (job.pk, job.attempt_no)
        ended = Ended(*key, "cancelled", "unknown", error="JOB_CANCELLED")
        if job.is_unwanted:
            self.settle(ended)
        elif self.may_retry(key, job.unknown, is_unknown=True):
            self.give_back(key, "unknown", is_due=True)
        else:
            self.settle(replace(ended, status="failed", error="OUTCOME_UNKNOWN"))
