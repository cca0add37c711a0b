"""Files and batches of a caller: their own company's and brand's, or as if absent."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, Q, QuerySet, Sum

from ai_batch.domain.refusals import NoSuchBatch, NoSuchFile, NoSuchSchedule
from ai_batch.models import Batch, BatchSchedule, StoredFile, of_brand
from megahub.kernel import clock, money
from megahub.kernel.errors import ValidationFailed
from megahub.tenancy.models import Company
from megahub.tenancy.selectors import Caller

MAX_ID = 80


def files_of(caller: Caller) -> QuerySet[StoredFile]:
    """The files that a caller knows, the newest first."""
    rows: QuerySet[StoredFile] = StoredFile.objects.of(caller.company_id)
    known = Q(expires_at=None) | Q(expires_at__gt=clock.now())
    return of_brand(rows, caller.require_brand()).filter(known, deleted_at=None)


def file_of(caller: Caller, file_id: str) -> StoredFile:
    """Raises NoSuchFile, also for a foreign one."""
    found = files_of(caller).filter(file_id=file_id[:MAX_ID]).first()
    if found is None:
        raise NoSuchFile(param="id")
    return found


def batches_of(caller: Caller) -> QuerySet[Batch]:
    """The batches of a caller's brand, the newest first."""
    rows = of_brand(Batch.objects.of(caller.company_id), caller.require_brand())
    return rows.select_related("input_file", "output_file", "error_file", "parent")


def filtered(rows: QuerySet[Batch], wanted: dict[str, Any]) -> QuerySet[Batch]:
    """Batches of these fields, made between two moments, whose id or file's name holds a text."""
    same = {name: wanted[name] for name in ("status", "endpoint", "engine") if name in wanted}
    rows = rows.filter(**same)
    if "created_after" in wanted:
        rows = rows.filter(created_at__gte=wanted["created_after"])
    if "created_before" in wanted:
        rows = rows.filter(created_at__lt=wanted["created_before"])
    if "search" in wanted:
        text = wanted["search"]
        rows = rows.filter(Q(batch_id__icontains=text) | Q(input_file__filename__icontains=text))
    return rows


def batch_of(caller: Caller, batch_id: str) -> Batch:
    """Raises NoSuchBatch, also for a foreign one."""
    found = batches_of(caller).filter(batch_id=batch_id[:MAX_ID]).first()
    if found is None:
        raise NoSuchBatch(param="id")
    return found


def batch_by_number(company_id: int, pk: int) -> Batch:
    """The batch of a signed link: batches are never deleted."""
    rows = Batch.objects.of(company_id).select_related("output_file", "error_file")
    found: Batch = rows.get(pk=pk)
    return found


def page(rows: Any, after: str | None, limit: int, name: str, *, oldest_first: bool = False) -> list[Any]:
    """One more than ``limit`` of the rows behind the one named ``after``. Raises ValidationFailed."""
    if oldest_first:
        rows = rows.order_by("created_at", "pk")
    if after is not None:
        last = None if "\0" in after else rows.filter(**{name: after[:MAX_ID]}).first()
        if last is None:
            raise ValidationFailed(
                "No such object: {after}", param="after", words={"after": after[:MAX_ID]}
            )
        way = "gt" if oldest_first else "lt"
        behind = Q(**{f"created_at__{way}": last.created_at})
        rows = rows.filter(behind | Q(created_at=last.created_at, **{f"pk__{way}": last.pk}))
    return list(rows[: limit + 1])


def schedules_of(caller: Caller) -> QuerySet[BatchSchedule]:
    """A brand's recurring batches, the newest first."""
    rows = of_brand(BatchSchedule.objects.of(caller.company_id), caller.require_brand())
    return rows.filter(deleted_at=None).select_related("template")


def schedule_of(caller: Caller, schedule_id: str) -> BatchSchedule:
    """Raises NoSuchSchedule, also for a foreign one."""
    found = schedules_of(caller).filter(schedule_id=schedule_id[:MAX_ID]).first()
    if found is None:
        raise NoSuchSchedule(param="id")
    return found


def policy_of(company_id: int) -> str:
    """Which engine a company wants for batches that ask for none."""
    return str(Company.objects.values_list("batch_engine", flat=True).get(pk=company_id))


def statistics(caller: Caller) -> dict[str, Any]:
    """How many batches there are by state, their lines and tokens, and what they cost."""
    rows = Batch.objects.of(caller.company_id).filter(brand_id=caller.require_brand())
    sums = rows.aggregate(
        batches=Count("pk"),
        total=Sum("total"),
        completed=Sum("completed"),
        failed=Sum("failed"),
        input=Sum("input_tokens"),
        output=Sum("output_tokens"),
        cost=Sum("cost_nano_usd"),
    )
    counted = rows.order_by().values_list("status").annotate(Count("pk"))
    known = {name: int(value or 0) for name, value in sums.items()}
    return {
        "total_batches": known["batches"],
        "by_status": dict(sorted(counted)),
        "request_counts": {name: known[name] for name in ("total", "completed", "failed")},
        "usage": {
            "input_tokens": known["input"],
            "output_tokens": known["output"],
            "total_tokens": known["input"] + known["output"],
        },
        "total_cost": money.show(known["cost"]),
    }
