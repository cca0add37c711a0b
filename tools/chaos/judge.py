"""Whether what was left behind fits together. Pure: it knows the evidence alone, and no code of the hub.

Each rule gives the offences that it found, in a line each; a run is sound when none has any.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator

from tools.chaos.evidence import Evidence, Row

ENDS = frozenset({"completed", "failed", "cancelled", "timeout"})
EVENTS = {
    "completed": "job.completed",
    "failed": "job.failed",
    "timeout": "job.failed",
    "cancelled": "job.cancelled",
}
CLOSING = frozenset({"settle", "void"})
#: An attempt in one of these has been accounted for.
ENDED_PHASES = frozenset({"done", "failed", "unknown", "late"})

Rule = Callable[[Evidence], Iterator[str]]


def lost(found: Evidence) -> Iterator[str]:
    """A job that a caller was told of is there."""
    there = {job["job_id"] for job in found.jobs}
    for seen in found.history:
        if seen.type == "ok" and seen.job_id is not None and seen.job_id not in there:
            yield f"operation {seen.op} was told of {seen.job_id}, which is not there"


def stuck(found: Evidence) -> Iterator[str]:
    """Every job has ended."""
    for job in found.jobs:
        if job["status"] not in ENDS:
            yield f"{job['job_id']} is {job['status']}"


def doubled(found: Evidence) -> Iterator[str]:
    """An operation, asked as often as need be with one key, became one job."""
    marks = Counter(_mark(job) for job in found.jobs)
    yield from (f"{mark} became {count} jobs" for mark, count in marks.items() if mark and count > 1)
    told: dict[int, set[str]] = defaultdict(set)
    for seen in found.history:
        if seen.job_id is not None:
            told[seen.op].add(seen.job_id)
    yield from (f"operation {op} was told of {sorted(ids)}" for op, ids in told.items() if len(ids) > 1)


def settled_twice(found: Evidence) -> Iterator[str]:
    """A job that has ended has exactly one closing entry in the ledger."""
    closings = Counter(row["job_id"] for row in found.ledger if row["kind"] in CLOSING)
    for job in found.jobs:
        count = closings[job["id"]]
        if count != (job["status"] in ENDS):
            yield f"{job['job_id']} is {job['status']} and has {count} closing entries"


def called_without_a_row(found: Evidence) -> Iterator[str]:
    """Every call that reached the provider has a row that was written before, and one row one call."""
    known = {f"{row['job_ref']}-{row['attempt_no']}" for row in found.attempts}
    calls = Counter(call["client_request_id"] for call in found.calls)
    yield from (f"call {name} has no attempt" for name in calls if name not in known)
    yield from (f"attempt {name} made {count} calls" for name, count in calls.items() if count > 1)


def unaccounted(found: Evidence) -> Iterator[str]:
    """No attempt is left open, and what a late one used is kept with it."""
    ended = {job["id"] for job in found.jobs if job["status"] in ENDS}
    for row in found.attempts:
        name = f"{row['job_ref']}-{row['attempt_no']}"
        if row["job_id"] in ended and row["phase"] not in ENDED_PHASES:
            yield f"attempt {name} of an ended job is {row['phase']}"


def wrong_answer(found: Evidence) -> Iterator[str]:
    """Who got an answer got that of their own question, and it stands in their job."""
    jobs = {job["job_id"]: job for job in found.jobs}
    for seen in found.history:
        if seen.type != "ok" or seen.text is None:
            continue
        mark = f"op-{seen.op}-{seen.tenant}"
        if mark not in seen.text:
            yield f"operation {seen.op} was answered {seen.text[:60]!r}"
        job = jobs.get(seen.job_id or "")
        if job is not None and mark != _mark(job):
            yield f"operation {seen.op} was told of another's {seen.job_id}"
        if job is not None and job["status"] != "completed":
            yield f"operation {seen.op} was answered, and {seen.job_id} is {job['status']}"


def off_budget(found: Evidence) -> Iterator[str]:
    """Windows say what the ledger says: spent is the sum of charges, and a hard limit was exceeded by
    no more than what jobs cost beyond what they had held. All jobs of a run are in every such budget.
    """
    entries = defaultdict(list)
    for row in found.ledger:
        entries[row["company_id"], bool(row["sandbox"])].append(row)
    budgets = defaultdict(list)
    for window in found.windows:
        if window["scope"] == "company":
            budgets[window["budget_id"], bool(window["sandbox"])].append(window)
    for (_, sandbox), windows in budgets.items():
        first, spent = windows[0], sum(window["spent"] for window in windows)
        own = entries[first["company_id"], sandbox]
        name = f"{found.companies.get(first['company_id'])}, {first['period']}, {first['unit']}"
        charged = sum(_charged(row, first["unit"]) for row in own)
        if charged != spent:
            yield f"{name}: spent {spent}, the ledger says {charged}"
        over = sum(max(0, row["charged_nano_usd"] - row["reserved_nano_usd"]) for row in own)
        over = over if first["unit"] == "nano_usd" else 0
        if first["is_hard"] and any(w["spent"] - w["forgiven"] > w["limit"] + over for w in windows):
            yield f"{name}: {spent} of {first['limit']}"


def still_held(found: Evidence) -> Iterator[str]:
    """What windows hold is the sum of what open jobs hold."""
    held: dict[int, int] = defaultdict(int)
    for window in found.windows:
        held[window["company_id"]] += window["reserved"]
    open_jobs = Counter(job["company_id"] for job in found.jobs if job["status"] not in ENDS)
    for company, amount in held.items():
        if amount and not open_jobs[company]:
            yield f"{found.companies.get(company)}: {amount} held by no job"


def untold(found: Evidence) -> Iterator[str]:
    """The end of every job was told to its company's receiver."""
    for job in found.jobs:
        tenant = found.companies[job["company_id"]]
        event = EVENTS.get(job["status"])
        if event and not found.taken[f"{tenant} {event} {job['job_id']}"]:
            yield f"{event} of {job['job_id']}"


def overheard(found: Evidence) -> Iterator[str]:
    """No receiver heard of another company's job."""
    owners = {job["job_id"]: found.companies[job["company_id"]] for job in found.jobs}
    for told in found.taken:
        tenant, _, job_id = told.split(" ")
        if owners.get(job_id, tenant) != tenant:
            yield f"{tenant} heard of {job_id}"


RULES: dict[str, Rule] = {
    "lost": lost,
    "stuck": stuck,
    "made twice": doubled,
    "settled twice or never": settled_twice,
    "calls without an attempt row": called_without_a_row,
    "attempts left open": unaccounted,
    "wrong answers": wrong_answer,
    "budget off or overrun": off_budget,
    "held by nobody": still_held,
    "webhooks missing": untold,
    "told to another": overheard,
}


def judge(found: Evidence) -> dict[str, list[str]]:
    """The offences by rule."""
    return {name: list(rule(found)) for name, rule in RULES.items()}


def _mark(job: Row) -> str | None:
    """The mark in a job's prompt; None for a job that no operation made."""
    words = json.dumps(job["input_data"]).replace('"', " ").split()
    return next((word for word in words if word.startswith("op-")), None)


def _charged(row: Row, unit: str) -> int:
    """What an entry counts against a budget of this unit."""
    if row["kind"] not in CLOSING | {"adjust", "late"}:
        return 0
    if unit == "nano_usd":
        return int(row["charged_nano_usd"])
    if unit == "jobs":
        return int(row["kind"] == "settle")
    return int(row["tokens"]) if row["kind"] in ("settle", "late") else 0
