"""The judge of ``./hub chaos``: sound evidence passes, and each way to break it is seen by its rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from copy import deepcopy

import pytest

from tools.chaos.callers import Seen
from tools.chaos.evidence import Evidence, Row
from tools.chaos.judge import RULES, judge


def job(number: int, tenant: int, status: str) -> Row:
    said = f"op-{number}-{'demo' if tenant == 1 else 'elsewhere'} [sandbox: delay=5ms]"
    return {
        "id": number,
        "job_id": f"ai_job_{number}",
        "company_id": tenant,
        "status": status,
        "attempt_no": 1,
        "holds": [],
        "input_data": {"messages": [{"role": "user", "content": said}]},
        "response": None,
    }


def entry(number: int, tenant: int, kind: str = "settle", cost: int = 100) -> Row:
    return {
        "job_id": number,
        "company_id": tenant,
        "kind": kind,
        "sandbox": True,
        "charged_nano_usd": cost,
        "reserved_nano_usd": 150,
        "tokens": 7,
    }


def attempt(number: int, phase: str = "done") -> Row:
    return {"job_id": number, "job_ref": f"ai_job_{number}", "attempt_no": 1, "phase": phase}


def window(budget: int, company: int, unit: str, spent: int, limit: int = 10_000) -> Row:
    return {
        "id": budget,
        "budget_id": budget,
        "company_id": company,
        "scope": "company",
        "unit": unit,
        "period": "month",
        "limit": limit,
        "is_hard": True,
        "sandbox": True,
        "reserved": 0,
        "spent": spent,
        "forgiven": 0,
    }


@pytest.fixture
def sound() -> Evidence:
    """Three jobs: one answered, one that was lost with its process, one cancelled before it ran."""
    return Evidence(
        history=[
            Seen(1, "demo", "now", "invoke", 1.0),
            Seen(1, "demo", "now", "ok", 2.0, 200, "ai_job_1", "it echoes: op-1-demo"),
            Seen(2, "demo", "now", "info", 2.0),
            Seen(3, "elsewhere", "cancelled", "ok", 2.0, 202, "ai_job_3"),
            Seen(4, "elsewhere", "now", "fail", 2.0, 402),
        ],
        calls=[{"client_request_id": "ai_job_1-1"}, {"client_request_id": "ai_job_2-1"}],
        jobs=[job(1, 1, "completed"), job(2, 1, "failed"), job(3, 2, "cancelled")],
        attempts=[attempt(1), attempt(2, "unknown")],
        ledger=[entry(1, 1), entry(2, 1, "void", 0), entry(3, 2, "void", 0)],
        windows=[window(1, 1, "nano_usd", 100), window(2, 1, "jobs", 1), window(3, 1, "tokens", 7)],
        companies={1: "demo", 2: "elsewhere"},
        taken=Counter(
            {
                "demo job.completed ai_job_1": 1,
                "demo job.failed ai_job_2": 2,
                "elsewhere job.cancelled ai_job_3": 1,
            }
        ),
    )


def test_sound_evidence_passes(sound: Evidence) -> None:
    assert judge(sound) == {name: [] for name in RULES}


def _lose(found: Evidence) -> None:
    found.history.append(Seen(5, "demo", "later", "ok", 3.0, 202, "ai_job_5"))


def _leave_running(found: Evidence) -> None:
    found.jobs[1]["status"] = "running"
    del found.ledger[1]


def _make_twice(found: Evidence) -> None:
    found.jobs[1]["input_data"] = found.jobs[0]["input_data"]


def _tell_two_numbers(found: Evidence) -> None:
    found.history.append(Seen(1, "demo", "now", "ok", 2.5, 200, "ai_job_2"))


def _settle_twice(found: Evidence) -> None:
    found.ledger.append(entry(1, 1, cost=0))


def _never_settle(found: Evidence) -> None:
    del found.ledger[2]


def _call_without_a_row(found: Evidence) -> None:
    found.calls.append({"client_request_id": "ai_job_3-1"})


def _call_twice(found: Evidence) -> None:
    found.calls.append({"client_request_id": "ai_job_1-1"})


def _leave_an_attempt(found: Evidence) -> None:
    found.attempts[0]["phase"] = "calling"


def _answer_anothers(found: Evidence) -> None:
    found.history[1] = Seen(1, "demo", "now", "ok", 2.0, 200, "ai_job_1", "it echoes: op-2-demo")


def _answer_and_fail(found: Evidence) -> None:
    found.jobs[0]["status"] = "failed"
    found.taken["demo job.failed ai_job_1"] = 1


def _spend_more_than_the_ledger(found: Evidence) -> None:
    found.windows[0]["spent"] = 101


def _overrun(found: Evidence) -> None:
    found.windows[0]["limit"] = 99


def _hold_for_nobody(found: Evidence) -> None:
    found.windows[0]["reserved"] = 1


def _do_not_tell(found: Evidence) -> None:
    del found.taken["demo job.failed ai_job_2"]


def _tell_another(found: Evidence) -> None:
    found.taken["elsewhere job.completed ai_job_1"] = 1


@pytest.mark.parametrize(
    ("break_it", "rule", "offence"),
    [
        (_lose, "lost", "operation 5 was told of ai_job_5, which is not there"),
        (_leave_running, "stuck", "ai_job_2 is running"),
        (_make_twice, "made twice", "op-1-demo became 2 jobs"),
        (_tell_two_numbers, "made twice", "operation 1 was told of ['ai_job_1', 'ai_job_2']"),
        (_settle_twice, "settled twice or never", "ai_job_1 is completed and has 2 closing entries"),
        (_never_settle, "settled twice or never", "ai_job_3 is cancelled and has 0 closing entries"),
        (_call_without_a_row, "calls without an attempt row", "call ai_job_3-1 has no attempt"),
        (_call_twice, "calls without an attempt row", "attempt ai_job_1-1 made 2 calls"),
        (_leave_an_attempt, "attempts left open", "attempt ai_job_1-1 of an ended job is calling"),
        (_answer_anothers, "wrong answers", "operation 1 was answered 'it echoes: op-2-demo'"),
        (_answer_and_fail, "wrong answers", "operation 1 was answered, and ai_job_1 is failed"),
        (
            _spend_more_than_the_ledger,
            "budget off or overrun",
            "demo, month, nano_usd: spent 101, the ledger says 100",
        ),
        (_overrun, "budget off or overrun", "demo, month, nano_usd: 100 of 99"),
        (_hold_for_nobody, "held by nobody", "demo: 1 held by no job"),
        (_do_not_tell, "webhooks missing", "job.failed of ai_job_2"),
        (_tell_another, "told to another", "elsewhere heard of ai_job_1"),
    ],
)
def test_each_rule_sees_its_offence(
    sound: Evidence, break_it: Callable[[Evidence], None], rule: str, offence: str
) -> None:
    broken = deepcopy(sound)
    break_it(broken)
    assert judge(broken)[rule] == [offence]
