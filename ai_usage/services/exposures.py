"""What attempts of unknown outcome may have cost: held against the budgets until it is known.

A call that was sent and never answered may have been done and billed. Its job's estimate stays in the
windows as ``unknown_exposure``, beside whatever the job holds for its next attempt. It is never usage:
it ends when the true cost arrives (which is charged), when it becomes known that there was none, or by
time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from django.conf import settings

from ai_usage.models import UnknownExposure
from ai_usage.services import budgets
from ai_usage.services.budgets import Charge
from megahub.kernel import clock, journal, sql
from megahub.kernel.session import Session

EXPOSURES = sql.Rows(
    "r",
    {
        "company_id": "int",
        "job_id": "int",
        "attempt_no": "int",
        "sandbox": "bool",
        "holds": "json",
        "nano_usd": "int",
        "created_at": "time",
        "expires_at": "time",
        "ended_as": "text",
    },
)
END = (
    "UPDATE ai_usage_unknownexposure SET ended_at = %s, ended_as = %s"
    " WHERE job_id = %s AND attempt_no = %s AND ended_at IS NULL RETURNING holds, sandbox"
)
HOLDS = "SELECT holds, sandbox FROM ai_usage_unknownexposure WHERE job_id = %s AND attempt_no = %s"
EXPIRE_AT_ONCE = 500
Released = tuple[list[list[Any]], bool, Charge]


@dataclass(frozen=True, slots=True)
class Exposure:
    """An attempt of unknown outcome, and what its job holds (budgets.as_stored)."""

    company_id: int
    job_pk: int
    attempt_no: int
    sandbox: bool
    holds: list[list[Any]]


def hold(session: Session, found: list[Exposure], moment: datetime) -> None:
    """Write exposures beside what their jobs go on holding."""
    record(session, found, moment)
    budgets.charge(session, [(e.holds, e.sandbox, Charge(releases=False, exposes=1)) for e in found])


def record(session: Session, found: list[Exposure], moment: datetime) -> None:
    """Write the exposures' rows; their windows are the caller's to change, with ``exposes=1``."""
    if not found:
        return
    until = moment + timedelta(hours=settings.HUB_UNKNOWN_EXPOSURE_HOURS)
    rows = [
        {
            "company_id": each.company_id,
            "job_id": each.job_pk,
            "attempt_no": each.attempt_no,
            "sandbox": each.sandbox,
            "holds": orjson.dumps(each.holds),
            "nano_usd": budgets.held(each.holds),
            "created_at": moment,
            "expires_at": until,
            "ended_as": "",
        }
        for each in found
    ]
    session.execute(sql.insert("ai_usage_unknownexposure", EXPOSURES), [EXPOSURES.pack(rows)])


def end(session: Session, job_pk: int, attempt_no: int, outcome: str, charge: Charge) -> list[Released]:
    """End an attempt's exposure; what is to be changed in its windows (``budgets.charge``).

    One that has expired meanwhile holds nothing any more, but its cost is charged to the same windows.
    """
    now = session.time(clock.now())
    rows = session.rows(END, [now, outcome, job_pk, attempt_no])
    exposes = -1 if rows else 0
    if not rows and charge.nano_usd:
        rows = session.rows(HOLDS, [job_pk, attempt_no])
    changed = Charge(charge.nano_usd, charge.tokens, 0, releases=False, exposes=exposes)
    return [(orjson.loads(holds), bool(sandbox), changed) for holds, sandbox in rows]


@dataclass(frozen=True, slots=True)
class Ending:
    """An exposure that is to end without a cost."""

    job_pk: int
    attempt_no: int
    outcome: str


class EndExposure:
    """Journal writer: ends exposures, and gives their windows back what they held; True where it did."""

    lane = "settle"
    keep = False

    def write(self, session: Session, entries: list[Ending]) -> list[bool]:
        released = [end(session, e.job_pk, e.attempt_no, e.outcome, Charge()) for e in entries]
        budgets.charge(session, [each for of_entry in released for each in of_entry])
        return [bool(of_entry) for of_entry in released]

    def recover(self, session: Session, entry: Ending) -> None:
        """Ended twice is ended once."""


END_EXPOSURE = EndExposure()


def expire() -> int:
    """End the exposures whose time is over; how many."""
    due = UnknownExposure.objects.unscoped().filter(ended_at=None, expires_at__lte=clock.now())
    found = due.order_by("expires_at").values_list("job_id", "attempt_no")[:EXPIRE_AT_ONCE]
    return sum(journal.write_and_wait(END_EXPOSURE, Ending(pk, number, "expired")) for pk, number in found)
