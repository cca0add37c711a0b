"""A company's policy, remembered for seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import transaction

from ai_guard.domain import rules
from ai_guard.models import GuardPolicy
from megahub.kernel import cache
from megahub.kernel.cache import ShortLived

TTL_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Policy:
    """What of a policy a running job needs: ``words`` are folded; all that looks is off with the filter."""

    keep: str = "all"
    content_filter: str = "off"
    words: tuple[str, ...] = ()
    moderation: bool = False

    @property
    def looks(self) -> bool:
        """Whether texts are looked at."""
        return bool(self.words) or self.moderation

    @property
    def holds_back(self) -> bool:
        """Whether an answer is told only after it was checked."""
        return self.content_filter == "block" and self.looks


NOTHING = Policy()


async def of(company_id: int) -> Policy:
    """The policy of a company."""
    return await _policies.aget(company_id)


def row_of(company_id: int) -> GuardPolicy:
    """The policy's row; an unsaved one with the defaults when there is none."""
    found = GuardPolicy.objects.of(company_id).first()
    return found or GuardPolicy(company_id=company_id)


def change(company_id: int, changes: dict[str, Any]) -> GuardPolicy:
    """Set what is given; what is absent stays. It holds for requests from now on."""
    row, _ = GuardPolicy.objects.unscoped().update_or_create(company_id=company_id, defaults=changes)
    transaction.on_commit(cache.forget_everything)
    return row


def _load(company_id: int) -> Policy:
    row = GuardPolicy.objects.of(company_id).first()
    if row is None:
        return NOTHING
    off = row.content_filter == GuardPolicy.Filter.OFF
    if off:
        return Policy(row.prompts, row.content_filter)
    words = tuple(map(rules.folded, row.words))
    return Policy(row.prompts, row.content_filter, words, row.moderation)


_policies: ShortLived[int, Policy] = ShortLived(_load, TTL_SECONDS)
