"""A batch that is only looked at: its errors by line, what it may cost, what the budgets would say.

Nothing is kept, held or called. The reading is the one that a real batch gets (``ingest.py``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from ai_batch.domain.lines import Inspection, Place, Request, read_through
from ai_batch.models import Batch
from ai_batch.services import checking, holding
from ai_batch.services.checking import Checker
from ai_providers.domain.pricing import Estimator
from ai_providers.domain.tokens import TOKENS_PER_MESSAGE, count_text
from ai_usage.domain.budgets import Limit
from ai_usage.services.room import Room, open_windows, rooms
from megahub.kernel import clock, money
from megahub.tenancy.selectors import Caller


class Trial:
    """One reading of lines that are no batch yet."""

    def __init__(self, caller: Caller, endpoint: str, engine_asked: str, policy: str) -> None:
        self.batch = Batch(
            company_id=caller.company_id,
            brand_id=caller.require_brand(),
            created_by_id=caller.user_id,
            api_key_id=caller.api_key_id,
            endpoint=endpoint,
            engine_asked=engine_asked,
        )
        self.inspection = Inspection(endpoint)
        self.checker = Checker(self.batch, policy)
        self.zone = caller.timezone
        self.lines = 0
        self.input_tokens = self.most_tokens = self.most_nano_usd = self.full_nano_usd = 0
        self._full: Estimator | None = None

    def read(self, places: Iterable[Place], odd: Any = None) -> Trial:
        """Take in every line; ``odd``: what the first bytes say that the file is, instead. Blocking."""
        if odd is not None:
            self.inspection.total = 1
            self.inspection.tell(odd)
            return self
        read_through(self.inspection, iter(places), self._take)
        self.inspection.finish()
        return self

    def _take(self, place: Place, request: Request) -> None:
        found = self.checker.check(request)
        if isinstance(found, checking.Refused):
            self.inspection.tell(found.problem(place.number))
            return
        self.lines += 1
        self.input_tokens += min(found.input_tokens, said_tokens(request.body))
        self.most_tokens += found.tokens
        self.most_nano_usd += found.usd_nano
        self.full_nano_usd += self._at_full_price(found)

    def _at_full_price(self, found: Any) -> int:
        """What the request would be held at as a single one."""
        if self.checker.engine != "provider":
            return int(found.usd_nano)
        terms, spec = self.checker.terms, self.checker.spec
        assert terms is not None
        assert spec is not None
        if self._full is None:
            self._full = Estimator(spec, terms.price, terms.rate, priced=terms.priced, batch=False)
        return self._full.at(found.input_tokens, found.output_tokens).usd_nano

    @property
    def is_good(self) -> bool:
        """Whether such a batch would begin, budgets apart."""
        return self.inspection.count == 0

    def rooms(self, own: tuple[Limit, ...]) -> list[Room]:
        """What each of the company's budgets that counts such a batch has left. Reads the database."""
        terms, spec = self.checker.terms, self.checker.spec
        if not self.is_good or terms is None or spec is None:
            return []
        self.batch.sandbox = terms.is_sandbox
        now = clock.now()
        subject = holding.subject_of(self.batch, spec, self.zone)
        windows = open_windows(own, now, self.zone)
        found = rooms(own, windows, subject, now, self.most_nano_usd, self.most_tokens)
        return [
            replace(room, hold=replace(room.hold, amount=self.lines)) if room.limit.unit == "jobs" else room
            for room in found
        ]


def told(trial: Trial, found: list[Room]) -> dict[str, Any]:
    """What a trial has found, as clients read it; figures are null where the lines are not all good."""
    inspection, terms = trial.inspection, trial.checker.terms
    known = trial.is_good and terms is not None
    return {
        "valid": trial.is_good,
        "fits": all(room.fits for room in found) if known else None,
        "total": inspection.total,
        "model": inspection.model,
        "engine": trial.checker.engine or None,
        "sandbox": terms.is_sandbox if terms is not None else None,
        "errors": {
            "object": "list",
            "data": [problem.as_dict() for problem in inspection.problems],
            "count": inspection.count,
        },
        "estimate": _estimate(trial, terms) if known else None,
        "budgets": [room.as_data() for room in found],
    }


def _estimate(trial: Trial, terms: Any) -> dict[str, Any]:
    """About what goes in, and the most that all of it may take and cost."""
    priced = terms.priced
    return {
        "input_tokens": trial.input_tokens,
        "most_tokens": trial.most_tokens,
        "most_cost_usd": money.show(trial.most_nano_usd) if priced else None,
        "most_cost_without_batch_usd": money.show(trial.full_nano_usd) if priced else None,
        "held_usd": money.show(trial.most_nano_usd),
    }


def said_tokens(body: dict[str, Any]) -> int:
    """About how many tokens a request sends: its texts, and what each message adds."""
    messages = body.get("messages")
    if isinstance(messages, list):
        return sum(TOKENS_PER_MESSAGE + _tokens(message.get("content")) for message in messages)
    return _tokens(body.get("input", body.get("prompt"))) + _tokens(body.get("instructions"))


def _tokens(value: Any) -> int:
    if isinstance(value, str):
        return count_text(value)
    if isinstance(value, dict):
        return _tokens(value.get("content", value.get("text")))
    if isinstance(value, list):
        return sum(1 if isinstance(item, int) else _tokens(item) for item in value)
    return 0
