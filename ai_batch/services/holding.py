"""What a batch holds of budgets: the estimates of its lines that have not ended, slice by slice."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import orjson

from ai_batch.models import Batch
from ai_usage.domain.budgets import Hold, Limit, Subject
from ai_usage.services import budgets
from megahub.kernel import clock
from megahub.kernel.errors import HubError
from megahub.kernel.session import Session

SLICE_LINES = 1000

#: What is held for the lines that have not ended.
HELD = (
    "SELECT COUNT(*), COALESCE(SUM(estimated_nano_usd), 0), COALESCE(SUM(estimated_tokens), 0)"
    " FROM ai_batch_line WHERE batch_id = %s AND slice_no < %s AND status IN ('pending', 'running')"
)
RESERVED = (
    "UPDATE ai_batch_batch SET reserved_slices = %s, windows = %s"
    " WHERE id = %s AND status = 'validating' AND reserved_slices = %s"
)


@dataclass(frozen=True, slots=True)
class SliceWanted:
    """A slice that asks for room in every window of its batch."""

    batch_pk: int
    slice_no: int
    subject: Subject
    limits: tuple[Limit, ...]
    windows: list[list[Any]]
    lines: int
    nano_usd: int
    tokens: int


def windows_of(limits: tuple[Limit, ...], subject: Subject, moment: datetime) -> list[list[Any]]:
    """The windows that a batch counts against: ``[budget id, start, unit, is hard]``, in their order."""
    matched = sorted((each for each in limits if subject.matches(each)), key=lambda each: each.id)
    return [
        [
            each.id,
            clock.window_start(each.period, moment, subject.timezone).isoformat(),
            each.unit,
            each.is_hard,
        ]
        for each in matched
    ]


def stored(windows: list[list[Any]], lines: int, nano_usd: int, tokens: int) -> list[list[Any]]:
    """What so many lines hold of the windows, as ``budgets.charge`` reads it."""
    amounts = {"nano_usd": nano_usd, "tokens": tokens, "jobs": lines}
    return [[budget_id, starts_on, amounts[unit], unit] for budget_id, starts_on, unit, _ in windows]


class ReserveSlice:
    """Journal writer: True when the slice is held now (or was already), or the budget's refusal."""

    lane = "accept"
    keep = False

    def write(self, session: Session, entries: list[SliceWanted]) -> list[bool | HubError]:
        return [self._reserve(session, entry) for entry in entries]

    def recover(self, session: Session, entry: SliceWanted) -> bool | None:
        """True when it is held."""
        rows = session.rows("SELECT reserved_slices FROM ai_batch_batch WHERE id = %s", [entry.batch_pk])
        return True if rows and rows[0][0] > entry.slice_no else None

    @staticmethod
    def _reserve(session: Session, entry: SliceWanted) -> bool | HubError:
        taken = session.count(
            RESERVED,
            [entry.slice_no + 1, orjson.dumps(entry.windows).decode(), entry.batch_pk, entry.slice_no],
        )
        if taken != 1:
            return False
        amounts = {"nano_usd": entry.nano_usd, "tokens": entry.tokens, "jobs": entry.lines}
        holds = tuple(
            Hold(number, date.fromisoformat(day), entry.subject.sandbox, amounts[unit], unit, is_hard)
            for number, day, unit, is_hard in entry.windows
        )
        request = budgets.Request(entry.subject, entry.limits, holds)
        (refusal,) = budgets.reserve(session, [request], clock.now())
        if refusal is not None:
            session.execute(
                "UPDATE ai_batch_batch SET reserved_slices = %s WHERE id = %s",
                [entry.slice_no, entry.batch_pk],
            )
        return True if refusal is None else refusal


def let_go(session: Session, held: list[list[Any]], sandbox: bool) -> None:
    """Give back what was held, charging nothing; to be asked last (``budgets.charge``)."""
    if held:
        budgets.charge(session, [(held, sandbox, budgets.Charge())])


def subject_of(batch: Batch, spec: Any, timezone: str) -> Subject:
    """What budgets are matched against."""
    return Subject(
        company_id=batch.company_id,
        brand_id=batch.brand_id,
        user_id=batch.created_by_id,
        api_key_id=batch.api_key_id,
        provider=spec.provider,
        model=spec.id,
        model_name=spec.profile.name,
        is_reasoning=spec.is_reasoning,
        timezone=timezone,
        sandbox=batch.sandbox,
    )


RESERVE_SLICE = ReserveSlice()
