"""A batch that was read without a fault is held for, slice by slice, and begins; or it is refused."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Count, Sum

from ai_batch.domain.lines import Problem
from ai_batch.models import Batch
from ai_batch.services import ending
from ai_batch.services.checking import Checker
from ai_batch.services.holding import RESERVE_SLICE, SliceWanted, subject_of, windows_of
from ai_usage.domain.budgets import Limit
from ai_usage.services import limits
from megahub.delivery import selectors as webhooks
from megahub.kernel import clock, journal, loop, money, queue
from megahub.kernel.errors import HubError
from megahub.tenancy.models import Company

#: A batch that cannot begin for want of budget says so under this code.
NO_ROOM = "insufficient_quota"
WINDOW = timedelta(hours=24)
RING_AGAIN = timedelta(seconds=30)


def begin(batch: Batch, checker: Checker) -> bool:
    """Hold for every slice, then let the lines run; False when somebody else has gone on with it."""
    terms, spec = checker.terms, checker.spec
    assert terms is not None
    assert spec is not None
    Batch.objects.unscoped().filter(pk=batch.pk).update(
        model=spec.id,
        provider=spec.provider,
        generation=spec.generation,
        sandbox=terms.is_sandbox,
        engine=checker.engine,
    )
    batch.refresh_from_db()
    own = loop.run(limits.of(batch.company_id))
    zone = Company.objects.values_list("timezone", flat=True).get(pk=batch.company_id)
    subject = subject_of(batch, spec, zone)
    windows = batch.windows or windows_of(own, subject, clock.now())
    slices = batch.lines.order_by("slice_no").values_list("slice_no")
    sums = slices.annotate(Count("pk"), Sum("estimated_nano_usd"), Sum("estimated_tokens"))
    for number, lines, nano_usd, tokens in sums.filter(slice_no__gte=batch.reserved_slices):
        wanted = SliceWanted(batch.pk, number, subject, own, windows, lines, int(nano_usd), int(tokens))
        try:
            if not journal.write_and_wait(RESERVE_SLICE, wanted):
                return False
        except HubError as error:
            if error.status >= 500:
                raise
            _refuse(batch, error, own, number)
            return False
    return _start(batch)


def _start(batch: Batch) -> bool:
    now = clock.now()
    rows = Batch.objects.unscoped().filter(pk=batch.pk, status="validating")
    begun = rows.update(
        status="in_progress",
        in_progress_at=now,
        expires_at=batch.created_at + WINDOW,
        lease_until=None,
        ring_at=now + RING_AGAIN,
    )
    if begun:
        task = "ai_batch.remote" if batch.engine == "provider" else "ai_batch.work"
        queue.ring(task, batch.pk, queue="low")
    return bool(begun)


def _refuse(batch: Batch, error: HubError, own: tuple[Limit, ...], slices: int) -> None:
    """Fail for want of budget: what the whole may cost, and what is left."""
    problem = Problem(NO_ROOM, refusal(batch, error, slices))
    wanted = webhooks.wanted_now(batch.company_id)
    failed = ending.failure(batch, [problem.as_dict()], 1, wanted)
    journal.write_and_wait(ending.FAIL_BATCH, failed)


def refusal(batch: Batch, error: HubError, slices: int) -> str:
    """The refusal with the figures of the whole batch; what its own slices held counts as left."""
    facts: dict[str, Any] = error.facts
    held = batch.lines.filter(slice_no__lt=slices)
    cost = money.show(batch.estimated_nano_usd)
    asked = f"the batch may cost up to {cost} USD ({batch.estimated_tokens} tokens, {batch.total} requests)"
    if "daily_budget_remaining" in facts:
        own = sum(held.values_list("estimated_nano_usd", flat=True))
        left = Decimal(str(facts["daily_budget_remaining"])) + Decimal(str(money.show(own)))
        budget = facts.get("budget", {})
        limit = f"{left} USD of the {budget.get('period')} budget ({budget.get('scope')}) are left"
    elif facts.get("unit") == "tokens":
        tokens = int(facts["remaining_quota"]) + sum(held.values_list("estimated_tokens", flat=True))
        limit = f"{tokens} tokens of the {facts.get('period')} quota ({facts.get('scope')}) are left"
    else:
        limit = "that is more than is left of it"
    return f"{error.text()}: {asked}; {limit}. Nothing was spent."
