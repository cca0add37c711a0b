"""The response spool: what a call came to outlives the process that is about to settle it.

A settlement is written into the process's spool (process_spool.py) the moment the answer is there, and
crossed out once it is committed. What a dead process left is settled by whoever finds it on the same host;
the fence and the attempt's phase decide whether it still counts.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import orjson

from ai_core.domain.states import advance
from ai_core.models import Attempt
from ai_core.services import guarding
from ai_core.services.closing import event_of
from ai_core.services.process_spool import ProcessSpool
from ai_core.services.settle import SETTLE, Settlement
from ai_providers.domain.pricing import Cost, Rate
from ai_providers.domain.wire import Usage
from megahub.delivery import selectors as webhooks
from megahub.kernel import journal


def _still_open(heard: list[Settlement]) -> list[Settlement]:
    """The last word on each attempt of which it is not known yet how it ended.

    What the filter has said comes after all that it has not seen.
    """
    said = {each.key: each for each in sorted(heard, key=lambda each: not each.unseen)}
    open_ones = Attempt.objects.filter(
        job_id__in={pk for pk, _ in said}, phase__in=("calling", "unknown")
    ).values_list("job_id", "attempt_no")
    return [said[key] for key in open_ones if key in said]


def _settled(settlement: Settlement) -> bool:
    wanted = webhooks.wanted_now(settlement.company_id)
    seen = _seen(settlement)
    return bool(journal.write_and_wait(SETTLE, replace(seen, wanted=wanted)))


def _seen(ended: Settlement) -> Settlement:
    """An answer that nobody has looked at is looked at before anybody reads it; it is paid either way."""
    if not ended.unseen or ended.response is None:
        return ended
    said = orjson.loads(ended.response)
    error = guarding.verdict(ended.company_id, ended.brand_id, ended.model, ended.job_ref, said)
    if error is None:
        return ended
    status = advance("running", event_of(error))
    return replace(ended, status=status, phase="failed", response=None, error=error.as_data())


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


SPOOL: ProcessSpool[Settlement] = ProcessSpool("", pack, unpack, _still_open, _settled)
