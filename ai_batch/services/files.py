"""Files of companies: taken in as they arrive, kept in Django's storage, let go when nobody reads them.

An upload is written to a file of its own beside the storage (never into memory), and becomes a file of
the storage when it is whole; on a folder that is a rename. What breaks off leaves nothing.
"""

from __future__ import annotations

import errno
import hashlib
import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.core.files import File
from django.core.files.storage import default_storage
from django.db.models import Q

from ai_batch.domain.refusals import StorageFull
from ai_batch.models import OVER, Batch, StoredFile
from megahub.kernel import clock

BLOCK_BYTES = 1024 * 1024
FULL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
#: An upload that no process is writing any more.
FORGOTTEN = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a new file is."""

    company_id: int
    brand_id: int
    user_id: int


class Incoming:
    """A file that is being written: how much, and its hash. Blocking; to be used in a thread."""

    def __init__(self) -> None:
        folder = Path(settings.HUB_FILES_DIR) / "incoming"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = folder / secrets.token_hex(16)
        self.bytes = 0
        self._hash = hashlib.sha256()
        with _told_when_full():
            self._file: IO[bytes] = self.path.open("xb", buffering=0)

    def write(self, block: bytes) -> None:
        """Append a block. Raises StorageFull."""
        with _told_when_full():
            rest = memoryview(block)
            while rest:
                rest = rest[self._file.write(rest) :]
        self._hash.update(block)
        self.bytes += len(block)

    def keep(
        self, owner: Owner, filename: str, purpose: str, expires_at: datetime | None = None
    ) -> StoredFile:
        """Make it a file of the company. Raises StorageFull."""
        file_id = f"file-{secrets.token_hex(12)}"
        self._file.close()
        with _told_when_full(), self.path.open("rb") as whole:
            name = default_storage.save(f"{owner.company_id}/{file_id}", _Whole(whole, self.path))
        try:
            row: StoredFile = StoredFile.objects.unscoped().create(
                company_id=owner.company_id,
                brand_id=owner.brand_id,
                created_by_id=owner.user_id,
                file_id=file_id,
                filename=filename,
                purpose=purpose,
                bytes=self.bytes,
                sha256=self._hash.hexdigest(),
                name=name,
                expires_at=expires_at,
            )
        except BaseException:
            default_storage.delete(name)
            raise
        finally:
            self.drop()
        return row

    @property
    def digest(self) -> str:
        """The hash of what was written so far."""
        return self._hash.hexdigest()

    def close(self) -> None:
        """It is whole; whoever closes it removes it."""
        self._file.close()

    def drop(self) -> None:
        """Leave nothing of it."""
        self._file.close()
        with suppress(FileNotFoundError):
            self.path.unlink()


class _Whole(File):
    """A file that a storage in a folder may take as it is, by renaming it."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        super().__init__(file)
        self.temporary_file_path = lambda: str(path)


class _told_when_full:  # noqa: N801 - reads as a function
    """A disk that is full is told as such."""

    def __enter__(self) -> None:
        """Nothing is prepared."""

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, OSError) and error.errno in FULL:
            raise StorageFull from error


def open_content(file: StoredFile) -> IO[bytes]:
    """The content of a file. Raises FileNotFoundError when it is gone."""
    if file.removed_at is not None:
        raise FileNotFoundError(file.name)
    return default_storage.open(file.name, "rb")


def forget(file: StoredFile) -> None:
    """Its owner deletes it: unknown from now on; the content goes when no batch reads it any more."""
    StoredFile.objects.of(file.company_id).filter(pk=file.pk, deleted_at=None).update(
        deleted_at=clock.now()
    )
    remove_unread()


def remove_unread(limit: int = 500) -> int:
    """Remove the contents that were deleted or have expired and that no batch reads; how many."""
    now = clock.now()
    read = Batch.objects.unscoped().exclude(status__in=OVER).exclude(input_file=None)
    gone = Q(deleted_at__isnull=False) | Q(expires_at__lte=now)
    rows = StoredFile.objects.unscoped().filter(gone, removed_at=None)
    removed = 0
    for file in rows.exclude(pk__in=read.values("input_file_id"))[:limit]:
        with suppress(FileNotFoundError):
            default_storage.delete(file.name)
        StoredFile.objects.unscoped().filter(pk=file.pk).update(removed_at=now)
        removed += 1
    return removed


def remove_forgotten_uploads() -> int:
    """Remove what killed processes left half written; how many."""
    folder = Path(settings.HUB_FILES_DIR) / "incoming"
    oldest = (clock.now() - FORGOTTEN).timestamp()
    removed = 0
    for path in folder.glob("*") if folder.is_dir() else ():
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < oldest:
                path.unlink()
                removed += 1
    return removed
