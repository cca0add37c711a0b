"""Blocks of jobs with a signature of what their texts hold, so that a search passes over most of them.

A block is 64 jobs of a company, next to each other by number (larger ones cost fewer bytes for each job,
but hold nearly every run of four letters of a language). Beat first draws them, once no number can appear
below any more, then fills them, the newest first, when all of their jobs have ended and none waits for its
texts to go.

A trigger empties a block in the transaction that changes or deletes a text of it: neither a question nor
a copy of the database finds there what has been erased. Whoever fills it meanwhile is refused by
``changes``: it waits for that transaction's lock on the row. That holds for blocks which every open
transaction can see, hence no others are filled.
"""

from __future__ import annotations

import time
from datetime import timedelta

from django.db import transaction
from django.db.models import F, Max, Q

from ai_core.domain import grams
from ai_core.domain.states import ENDS
from ai_core.models import AIJob, SearchBlock, SearchCursor
from ai_core.selectors import search
from megahub.kernel import clock, sql
from megahub.kernel.sql import transaction_number

JOBS_PER_BLOCK = 64
#: A job's number is drawn a moment before its transaction can be seen to be open.
LAG = timedelta(seconds=5)
#: Numbers that are put into blocks in one transaction.
STEP = 20_000
#: When a block is looked at again whose jobs had not all ended.
AGAIN = timedelta(minutes=5)
#: How long beat fills blocks, and how many are found at once.
SECONDS, BLOCKS_AT_ONCE = 3.0, 50
#: By hand: what is there is seen, then safe, then drawn, then seen and safe again.
SECONDS_AT_ONCE, IDLE = 60.0, 5


def tend(seconds: float = SECONDS, lag: timedelta = LAG) -> int:
    """Draw new blocks, and fill as many as there is time for; how many were filled."""
    until = time.monotonic() + seconds
    look(lag)
    while time.monotonic() < until and _draw():
        pass
    filled = 0
    while time.monotonic() < until and (due := _due()):
        for block in due:
            filled += fill(block)
            if time.monotonic() >= until:
                break
    return filled


def tend_all() -> int:
    """Until none is left that can be filled; how many were."""
    filled = idle = 0
    while idle < IDLE:
        made = tend(SECONDS_AT_ONCE, timedelta(0))
        filled, idle = filled + made, 0 if made else idle + 1
    return filled


def rebuild(company_id: int | None = None) -> None:
    """Empty the blocks (of a company, or all): beat fills them anew."""
    rows = SearchBlock.objects.unscoped() if company_id is None else SearchBlock.objects.of(company_id)
    rows.update(words=0, signature=b"", changes=F("changes") + 1, fill_at=clock.now())


def look(lag: timedelta = LAG) -> None:
    """What was seen is safe once every transaction that was open then has ended; then look again.

    What was seen by the server whose backup this is waits for a transaction that may never come.
    """
    with transaction.atomic():
        cursor = _locked()
        if cursor is None or cursor.seen_at + lag > clock.now():
            return
        foreign = cursor.seen_xid > transaction_number("xmax")
        if not foreign and transaction_number("xmin") < cursor.seen_xid:
            return
        if not foreign:
            cursor.safe_job_id, cursor.safe_block_id = cursor.seen_job_id, cursor.seen_block_id
        cursor.seen_job_id = AIJob.objects.unscoped().aggregate(last=Max("pk"))["last"] or 0
        cursor.seen_block_id = SearchBlock.objects.unscoped().aggregate(last=Max("pk"))["last"] or 0
        cursor.seen_xid = transaction_number("xmax")
        cursor.seen_at = clock.now()
        cursor.save()


def _locked() -> SearchCursor | None:
    """The cursor, for this transaction alone; None while another one has it."""
    return SearchCursor.objects.select_for_update(skip_locked=sql.on_postgres()).first()


def _draw() -> bool:
    """Put the next numbers into blocks; whether there were any."""
    with transaction.atomic():
        cursor = _locked()
        if cursor is None or cursor.tiled_job_id >= cursor.safe_job_id:
            return False
        until = min(cursor.tiled_job_id + STEP, cursor.safe_job_id)
        new = AIJob.objects.unscoped().filter(pk__gt=cursor.tiled_job_id, pk__lte=until)
        for company_id in new.order_by().values_list("company_id", flat=True).distinct():
            _draw_of(company_id, until)
        cursor.tiled_job_id = until
        cursor.save(update_fields=["tiled_job_id"])
    return True


def _draw_of(company_id: int, until: int) -> None:
    """Whole blocks of what a company has in none; the rest waits for more."""
    own = SearchBlock.objects.of(company_id).order_by("-first_id")
    last = own.values_list("last_id", flat=True).first()
    first = 0 if last is None else last + 1
    jobs = AIJob.objects.of(company_id).filter(pk__gte=first, pk__lte=until).order_by("pk")
    ends = list(jobs.values_list("pk", flat=True))[JOBS_PER_BLOCK - 1 :: JOBS_PER_BLOCK]
    begins = [first, *(end + 1 for end in ends)]
    SearchBlock.objects.unscoped().bulk_create(
        SearchBlock(company_id=company_id, first_id=begin, last_id=end, jobs=JOBS_PER_BLOCK)
        for begin, end in zip(begins, ends, strict=False)
    )


def _due() -> list[SearchBlock]:
    safe = SearchCursor.objects.values_list("safe_block_id", flat=True).get()
    rows = SearchBlock.objects.unscoped().filter(fill_at__lte=clock.now(), pk__lte=safe)
    return list(rows.defer("signature").order_by("-pk")[:BLOCKS_AT_ONCE])


def fill(block: SearchBlock) -> bool:
    """Make a block's signature; False where its jobs have not all ended, or a text has just changed."""
    rows = AIJob.objects.of(block.company_id).filter(pk__range=(block.first_id, block.last_id))
    own = SearchBlock.objects.of(block.company_id).filter(pk=block.pk, changes=block.changes)
    if rows.filter(~Q(status__in=ENDS) | Q(forget_at__isnull=False)).exists():
        own.update(fill_at=clock.now() + AGAIN)
        return False
    found: set[int] = set()
    for text in search.texts_of(rows):
        found |= grams.grams(text)
    made = grams.signature(found)
    return bool(own.update(signature=made, words=len(made) // 4, fill_at=None))
