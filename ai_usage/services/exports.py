"""Exports from being asked for to being ready, and their end; all moves by compare-and-swap."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from django.conf import settings
from django.core.files import File
from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import F, Max, Q, QuerySet

from ai_usage import selectors
from ai_usage.domain.exports import Totals
from ai_usage.models import Export, LedgerEntry
from ai_usage.selectors import Scope, listing
from ai_usage.services import export_files, export_news
from megahub.kernel import clock, queue, sql
from megahub.kernel import scope as rows
from megahub.kernel.errors import Conflict, NotFound, TooManyRequests
from megahub.kernel.sql import transaction_number

log = logging.getLogger(__name__)

TASK, QUEUE = "ai_usage.make_export", "low"
LEASE = timedelta(seconds=60)
MOST_ATTEMPTS = 5
OPEN_AT_ONCE = 20
#: A transaction is seen to be open a moment after it drew a number (as in services/rollups.py).
LAG = timedelta(seconds=1)
#: An expired or failed export's row is kept so long.
ROWS_KEPT = timedelta(days=90)
#: Bytes read at once.
BLOCK = 1024 * 1024
#: What a process that ends has set: exports that are being made are given back.
_ending = [False]


class Overtaken(Exception):
    """The export is not this maker's any more: cancelled, deleted, or its lease ran out."""


class Wanted(NamedTuple):
    """What is asked for."""

    scope: Scope
    format: str
    filters: dict[str, str]
    user_id: int | None
    recipients: list[str]


def ask(wanted: Wanted, **more: Any) -> Export:
    """Write an export, or find the same one that the person has asked for and that is not done yet.

    Raises TooManyRequests when too many of the company's are open.
    """
    scope = wanted.scope
    opened = Export.objects.of(scope.company_id).filter(state__in=("pending", "running"))
    brands = None if scope.brands is None else sorted(scope.brands)
    same: dict[str, Any] = {
        "format": wanted.format,
        "filters": wanted.filters,
        "sandbox": scope.sandbox,
        "created_by_id": wanted.user_id,
        "schedule_id": more.get("schedule_id"),
    }
    # A JSON column's None is JSON's null in a query, and SQL's in a row.
    alike = opened.filter(
        **same, **({"brand_ids__isnull": True} if brands is None else {"brand_ids": brands})
    )
    if not more and (found := alike.first()) is not None:
        return cast(Export, found)
    if opened.count() >= OPEN_AT_ONCE:
        raise TooManyRequests("{limit} exports are being made; wait for one of them.", limit=OPEN_AT_ONCE)
    last, xid = _horizon(scope.company_id)
    export: Export = Export.objects.unscoped().create(
        company_id=scope.company_id,
        **same,
        brand_ids=brands,
        timezone=scope.timezone,
        recipients=wanted.recipients,
        last_entry=last,
        seen_xid=xid,
        **{name: value for name, value in more.items() if name != "schedule_id"},
    )
    transaction.on_commit(lambda: queue.ring(TASK, export.pk, queue=QUEUE))
    return export


def rows_of(export: Export) -> QuerySet[Any]:
    """The rows of the ledger that are in it."""
    brands = None if export.brand_ids is None else frozenset(export.brand_ids)
    scope = Scope(export.company_id, brands, export.sandbox, export.timezone)
    rows = listing.filtered(scope, export.filters)
    if export.period_start is not None and export.period_end is not None:
        first, after = selectors.moments(scope, export.period_start, export.period_end)
        rows = rows.filter(created_at__gte=first, created_at__lt=after)
    return rows.filter(pk__lte=export.last_entry)


def make(export_id: int) -> None:
    """Make a pending export, or one whose maker is gone. One that cannot be claimed is left alone."""
    export = _claim(export_id)
    if export is None:
        return
    made: Path | None = None
    try:
        made, totals = _write(export)
        _finish(export, made, totals)
    except Overtaken:
        log.info("export %s was taken from this process", export.pk)
    except Exception as error:
        log.exception("export %s could not be made", export.pk)
        _fail(export, error)
    finally:
        if made is not None:
            made.unlink(missing_ok=True)


def give_back_all() -> None:
    """This process ends: whatever it is making stops at its next chunk and is made elsewhere."""
    _ending[0] = True


def relay() -> None:
    """Ring for what is pending and for what was given up with its process; expire what is over."""
    now = clock.now()
    rows = Export.objects.unscoped()
    gone = Q(state="running", lease_until__lt=now)
    for pk in list(rows.filter(gone | Q(state="pending")).order_by("id").values_list("pk", flat=True)[:50]):
        queue.ring(TASK, pk, queue=QUEUE)
    for export in rows.filter(state="ready", expires_at__lt=now)[:50]:
        if rows.filter(pk=export.pk, state="ready").update(state="expired", file=""):
            export.file.delete(save=False)


def delete(export: Export) -> None:
    """Cancel an export that is being made, or delete one with its file: it is gone either way.

    The row is locked: its maker has said by then where the file is, or finds nothing to say it of.
    """
    with transaction.atomic():
        rows = Export.objects.of(export.company_id).filter(pk=export.pk)
        found = rows.select_for_update().first()
        rows.delete()
        if found is not None and found.file:
            transaction.on_commit(lambda: found.file.delete(save=False))


def forget_old() -> None:
    """Delete rows of exports that ended long ago, and what makers that died left behind."""
    now = clock.now()
    ended = Export.objects.unscoped().filter(state__in=("expired", "failed"))
    ended.filter(created_at__lt=now - ROWS_KEPT).delete()
    oldest = (now - timedelta(days=1)).timestamp()
    for path in _folder().iterdir():
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < oldest:
                path.unlink()


def by_link(token: str) -> Export:
    """The export of a signed link. Raises NotFound for one that is not (or no longer) good."""
    uid = export_news.uid_of(token)
    with rows.everybody():  # nobody is signed in: the signature is what lets in
        found = None if uid is None else Export.objects.unscoped().filter(uid=uid).first()
    if found is None:
        raise NotFound("This link is not good, or not any more.")
    rows.enter(found.company_id)
    return cast(Export, found)


def open_file(export: Export) -> BinaryIO:
    """The file of a ready export. Raises Conflict before, FileNotFoundError when the storage lost it."""
    if export.state != "ready":
        raise Conflict("This export is {state}.", state=export.state)
    return cast(BinaryIO, export.file.open())


def _horizon(company_id: int) -> tuple[int, int]:
    """The last entry of the company's that there is, and the next transaction's number."""
    last = LedgerEntry.objects.of(company_id).aggregate(last=Max("pk"))["last"] or 0
    return last, transaction_number("xmax")


def _claim(export_id: int) -> Export | None:
    """Take it, when nothing that belongs into it can still appear; None when it is another's."""
    now = clock.now()
    rows = Export.objects.unscoped().filter(pk=export_id)
    rows = rows.filter(Q(state="pending") | Q(state="running", lease_until__lt=now))
    export = cast("Export | None", rows.first())
    if export is None or (sql.on_postgres() and not _is_safe(export)):
        return None
    if export.attempt >= MOST_ATTEMPTS:
        _end_badly(export, "its process ended five times")
        return None
    moved = rows.filter(attempt=export.attempt).update(
        state="running",
        attempt=F("attempt") + 1,
        lease_until=now + LEASE,
        started_at=now,
        row_count=0,
        error="",
    )
    if moved != 1:
        return None
    return cast(Export, Export.objects.unscoped().get(pk=export_id))


def _is_safe(export: Export) -> bool:
    """A number that this server never gave is of the one whose backup it was restored from."""
    waits = transaction_number("xmin") < export.seen_xid <= transaction_number("xmax")
    return export.created_at + LAG <= clock.now() and not waits


def _own(export: Export) -> QuerySet[Export]:
    """The row, as long as it is this maker's."""
    rows: QuerySet[Export] = Export.objects.unscoped()
    return rows.filter(pk=export.pk, state="running", attempt=export.attempt)


def _write(export: Export) -> tuple[Path, Totals]:
    rows = rows_of(export)
    expected = rows.order_by().count()
    if not _own(export).update(expected_rows=expected):
        raise Overtaken
    handle, name = tempfile.mkstemp(dir=_folder(), prefix=f"{export.pk}-")
    path = Path(name)

    def heard(totals: Totals) -> None:
        if _ending[0]:
            _own(export).update(state="pending", attempt=F("attempt") - 1)
            raise Overtaken
        if not _own(export).update(row_count=totals.rows, lease_until=clock.now() + LEASE):
            raise Overtaken

    try:
        with os.fdopen(handle, "w+b") as file:
            return path, export_files.write(rows, export.format, file, heard)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _finish(export: Export, made: Path, totals: Totals) -> None:
    """Store the file, then say in one transaction that it is ready, by row, event and mail."""
    digest = hashlib.sha256()
    with made.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    with made.open("rb") as file:
        name = default_storage.save(f"exports/{export.uid}-{export.attempt}.{export.format}", _Made(file))
    now = clock.now()
    with transaction.atomic():
        moved = _own(export).update(
            state="ready",
            row_count=totals.rows,
            total_tokens=totals.total_tokens,
            total_nano=totals.cost_nano_usd,
            unpriced=totals.unpriced,
            file=name,
            size=default_storage.size(name),
            sha256=digest.hexdigest(),
            finished_at=now,
            expires_at=now + timedelta(days=settings.HUB_EXPORT_KEEP_DAYS),
        )
        if moved:
            export_news.tell(Export.objects.unscoped().get(pk=export.pk))
    if not moved:
        default_storage.delete(name)
        raise Overtaken


def _fail(export: Export, error: Exception) -> None:
    """Try again later, or never again."""
    if export.attempt >= MOST_ATTEMPTS:
        _end_badly(export, type(error).__name__)
    else:
        _own(export).update(lease_until=clock.now() + LEASE, error=type(error).__name__)


def _end_badly(export: Export, reason: str) -> None:
    rows = Export.objects.unscoped().filter(pk=export.pk, attempt=export.attempt)
    with transaction.atomic():
        if rows.filter(state__in=("pending", "running")).update(
            state="failed", error=reason, finished_at=clock.now()
        ):
            export_news.tell(Export.objects.unscoped().get(pk=export.pk))


class _Made(File):
    """A finished file that a storage on this machine may take as it is, instead of copying it."""

    def temporary_file_path(self) -> str:
        return str(self.name)


def _folder() -> Path:
    """Where files are made: beside where they are kept, so that they can be moved there."""
    folder = Path(settings.HUB_FILES_DIR) / "making"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder
