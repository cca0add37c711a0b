"""T1: a job is accepted, in one transaction with its idempotency key, reservation and first attempt."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from django.conf import settings

from ai_core.services.job import Job, task_id_of
from ai_guard.domain import keeping
from ai_providers.domain.pricing import Estimate
from ai_usage.domain.budgets import Limit, Subject, holds
from ai_usage.services import budgets
from megahub.kernel import clock, sql
from megahub.kernel.errors import HubError
from megahub.kernel.session import Session
from megahub.tenancy import idempotency
from megahub.tenancy.idempotency import Replay

JOBS = sql.Rows(
    "r",
    {
        "job_id": "text",
        "company_id": "int",
        "brand_id": "int",
        "job_type_id": "int",
        "created_by_id": "int",
        "api_key_id": "int",
        "status": "text",
        "priority": "text",
        "description": "text",
        "endpoint": "text",
        "model": "text",
        "provider": "text",
        "generation": "text",
        "sandbox": "bool",
        "with_defaults": "bool",
        "is_async": "bool",
        "progress_percentage": "int",
        "input_data": "json",
        "params": "json",
        "holds": "json",
        "warnings": "json",
        "keep": "text",
        "forget_at": "time",
        "end_user": "text",
        "task_id": "text",
        "revision": "int",
        "attempt_no": "int",
        "max_attempts": "int",
        "unknown_attempts": "int",
        "run_at": "time",
        "ring_at": "time",
        "deadline_at": "time",
        "created_at": "time",
        "started_at": "time",
    },
)
ATTEMPTS = sql.Rows(
    "r",
    {
        "job_ref": "text",
        "attempt_no": "int",
        "session_id": "int",
        "provider": "text",
        "source": "text",
        "phase": "text",
        "started_at": "time",
    },
)
#: The jobs' numbers are looked up where they were made: nobody waits for them in between.
INSERT_ATTEMPTS = (
    "INSERT INTO ai_core_attempt (job_id, attempt_no, session_id, provider, source, phase, started_at)"
    " SELECT j.id, r.attempt_no, r.session_id, r.provider, r.source, r.phase, r.started_at"
    " FROM {source} JOIN ai_core_aijob j ON j.job_id = r.job_ref"
)

MAX_END_USER = 255
#: Parameters that ``input_data`` has already, and at length.
TEXTS = frozenset(("messages", "input"))


@dataclass(frozen=True, slots=True)
class Acceptance:
    """A checked job on its way into the database: ``row`` holds the columns of ``JOBS``.

    ``attempt`` (the columns of ``ATTEMPTS`` but for the job's number) is given when it is called at once.
    """

    job: Job
    row: dict[str, Any]
    budget: budgets.Request
    attempt: dict[str, Any] | None


def acceptance(
    job: Job,
    job_type_id: int,
    estimate: Estimate,
    limits: tuple[Limit, ...],
    session_id: int | None,
) -> Acceptance:
    """The rows of a job: running, called by process ``session_id``, or pending without one."""
    subject = subject_of(job)
    asked = holds(limits, subject, job.created_at, estimate.usd_nano, estimate.tokens)
    request = budgets.Request(subject, limits, asked)
    row = _row(job, job_type_id) | {"holds": budgets.as_stored(request)}
    if session_id is None:
        again = timedelta(seconds=settings.HUB_RING_AGAIN_SECONDS)
        waiting = {"status": "pending", "attempt_no": 0, "ring_at": job.created_at + again}
        return Acceptance(job, row | waiting, request, None)
    deadline = job.created_at + timedelta(seconds=settings.HUB_JOB_DEADLINE_SECONDS)
    called = {
        "status": "running",
        "attempt_no": 1,
        "started_at": job.created_at,
        "deadline_at": deadline,
    }
    attempt = {
        "attempt_no": 1,
        "session_id": session_id,
        "provider": job.terms.spec.provider,
        "source": job.terms.accesses[0].source,
        "phase": "calling",
        "started_at": job.created_at,
    }
    return Acceptance(job, row | called, request, attempt)


def subject_of(job: Job) -> Subject:
    """What budgets are matched against."""
    spec, caller = job.terms.spec, job.order.caller
    return Subject(
        company_id=caller.company_id,
        brand_id=job.brand_id,
        user_id=caller.user_id,
        api_key_id=caller.api_key_id,
        provider=spec.provider,
        model=spec.id,
        model_name=spec.profile.name,
        is_reasoning=spec.is_reasoning,
        timezone=caller.timezone,
        sandbox=job.terms.is_sandbox,
    )


def _row(job: Job, job_type_id: int) -> dict[str, Any]:
    """The columns that do not depend on when the job is called."""
    spec, caller, order = job.terms.spec, job.order.caller, job.order
    return {
        "job_id": job.job_ref,
        "company_id": caller.company_id,
        "brand_id": job.brand_id,
        "job_type_id": job_type_id,
        "created_by_id": caller.user_id,
        "api_key_id": caller.api_key_id,
        "priority": order.priority,
        "description": keeping.kept_text(job.policy.keep, order.description),
        "endpoint": order.endpoint,
        "model": spec.id,
        "provider": spec.provider,
        "generation": spec.generation,
        "sandbox": job.terms.is_sandbox,
        "with_defaults": order.with_defaults,
        "is_async": job.is_async,
        "progress_percentage": 0,
        "input_data": _kept_input(job),
        "params": orjson.dumps(_kept(job) if job.is_async else keeping.kept(job.policy.keep, _kept(job))),
        "warnings": orjson.dumps(job.warnings) if job.warnings else None,
        "keep": None if job.policy.keep == "all" else job.policy.keep,
        # Until a worker has run it, it needs its texts: they go as soon as it has ended.
        "forget_at": job.created_at if job.is_async and job.policy.keep != "all" else None,
        "end_user": _end_user(job),
        "task_id": task_id_of(job.job_ref) if job.is_async else "",
        "revision": 1,
        "max_attempts": job.max_attempts,
        "unknown_attempts": 0,
        "run_at": job.created_at,
        "created_at": job.created_at,
    }


def _kept_input(job: Job) -> bytes:
    """The request as it is stored now: whole for a worker, else as the company's policy has it."""
    if job.is_async or job.policy.keep == "all":
        return job.order.input_json
    return orjson.dumps(keeping.kept(job.policy.keep, orjson.loads(job.order.input_json)))


def _end_user(job: Job) -> str | None:
    """Whom a request names as its end user; the newer name first."""
    named = job.call.params.get("safety_identifier") or job.call.params.get("user")
    return named[:MAX_END_USER] if isinstance(named, str) and named else None


def _kept(job: Job) -> dict[str, Any]:
    """The parameters that are kept with a job: all but its texts."""
    kept = {name: value for name, value in job.call.params.items() if name not in TEXTS}
    kept["reasoning_effort"] = job.reasoning_effort
    kept["messages_format"] = "structured" if job.terms.spec.content == "parts" else "legacy"
    return kept


class Accept:
    """Journal writer: the job's primary key, a Replay of its idempotency key, or the refusal."""

    lane = "accept"
    keep = False

    def write(self, session: Session, entries: list[Acceptance]) -> list[int | Replay | HubError | None]:
        moment = clock.now()
        verdicts = self._claim_keys(session, entries)
        ask_first = session.careful or budgets.may_be_full([entry.budget for entry in entries])
        if ask_first:
            self._reserve(session, entries, verdicts, moment)
        accepted = [e for e, v in zip(entries, verdicts, strict=True) if v is None]
        if not accepted:
            return verdicts
        statement = sql.insert("ai_core_aijob", JOBS, "RETURNING job_id, id")
        jobs = session.ask(statement, [JOBS.pack(entry.row for entry in accepted)])
        self._insert_attempts(session, accepted)
        if not ask_first:
            # Last, so that the windows' rows are locked for as short as possible.
            budgets.require(session, [entry.budget for entry in accepted])
        session.commit()
        ids = dict(jobs.rows)
        return [
            ids[entry.row["job_id"]] if verdict is None else verdict
            for entry, verdict in zip(entries, verdicts, strict=True)
        ]

    def recover(self, session: Session, entry: Acceptance) -> int | None:
        """The job's primary key when it was accepted."""
        query = "SELECT id FROM ai_core_aijob WHERE job_id = %s"
        rows = session.rows(query, [entry.row["job_id"]])
        return int(rows[0][0]) if rows else None

    @staticmethod
    def _claim_keys(session: Session, entries: list[Acceptance]) -> list[int | Replay | HubError | None]:
        verdicts: list[int | Replay | HubError | None] = [None] * len(entries)
        keyed = [
            (position, entry.job.order.idempotency, entry.row["job_id"])
            for position, entry in enumerate(entries)
            if entry.job.order.idempotency is not None
        ]
        if keyed:
            found = idempotency.claim(session, [(key, job_ref) for _, key, job_ref in keyed])
            for number, verdict in found.items():
                verdicts[keyed[number][0]] = verdict
        return verdicts

    @staticmethod
    def _reserve(
        session: Session,
        entries: list[Acceptance],
        verdicts: list[int | Replay | HubError | None],
        moment: datetime,
    ) -> None:
        """Hold each job's estimate; a refused one gives its idempotency key back."""
        asking = [position for position, verdict in enumerate(verdicts) if verdict is None]
        refusals = budgets.reserve(session, [entries[p].budget for p in asking], moment)
        for position, refusal in zip(asking, refusals, strict=True):
            if refusal is None:
                continue
            verdicts[position] = refusal
            key = entries[position].job.order.idempotency
            if key is not None:
                idempotency.give_back(session, key)

    @staticmethod
    def _insert_attempts(session: Session, accepted: list[Acceptance]) -> None:
        """The first attempts of the jobs that are called at once."""
        attempts = [
            {**entry.attempt, "job_ref": entry.row["job_id"]}
            for entry in accepted
            if entry.attempt is not None
        ]
        if attempts:
            session.execute(INSERT_ATTEMPTS.format(source=ATTEMPTS.source), [ATTEMPTS.pack(attempts)])


ACCEPT = Accept()
