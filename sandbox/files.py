"""Files as the provider keeps them: bytes in a folder, their descriptions in memory."""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from sandbox import errors, paging
from sandbox.errors import ApiError
from sandbox.prompts import Body

PURPOSES = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")
MAX_FILE_BYTES = 512 * 1024 * 1024
MAX_BATCH_FILE_BYTES = 200 * 1024 * 1024
BATCH_LIFETIME_S = 30 * 24 * 3600
EXPIRY_RANGE_S = (3600, 2_592_000)


@dataclass(frozen=True, slots=True)
class StoredFile:
    id: str
    bytes: int
    created_at: int
    expires_at: int | None
    filename: str
    purpose: str
    path: Path

    def render(self) -> Body:
        return {
            "id": self.id,
            "object": "file",
            "bytes": self.bytes,
            "created_at": self.created_at,
            "expires_at": self.expires_at,
            "filename": self.filename,
            "purpose": self.purpose,
            "status": "processed",
            "status_details": None,
        }


class Draft:
    """A file being written. Leaving the `with` block without `keep` removes it."""

    def __init__(self, store: "FileStore") -> None:
        self._store = store
        self._id = f"file-sandbox-{secrets.token_hex(12)}"
        self._path = store.folder / self._id
        self._stream: IO[bytes] = self._path.open("wb")
        self.bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stream.close()
        if self._id not in self._store:
            self._path.unlink(missing_ok=True)

    def write(self, data: bytes) -> None:
        self._stream.write(data)
        self.bytes += len(data)

    def keep(self, purpose: str, filename: str, now: int, lifetime_s: int | None) -> StoredFile:
        self._stream.close()
        expires_at = None if lifetime_s is None else now + lifetime_s
        stored = StoredFile(self._id, self.bytes, now, expires_at, filename, purpose, self._path)
        self._store.add(stored)
        return stored


class FileStore:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: dict[str, StoredFile] = {}

    def __contains__(self, file_id: str) -> bool:
        return file_id in self._files

    def draft(self) -> Draft:
        return Draft(self)

    def add(self, stored: StoredFile) -> None:
        self._files[stored.id] = stored

    def get(self, file_id: str) -> StoredFile:
        if file_id not in self._files:
            raise errors.unknown_object("File", file_id)
        return self._files[file_id]

    def delete(self, file_id: str) -> Body:
        stored = self.get(file_id)
        stored.path.unlink(missing_ok=True)
        del self._files[file_id]
        return {"id": file_id, "object": "file", "deleted": True}

    def listing(self, query: Mapping[str, str]) -> Body:
        order = query.get("order", "desc")
        if order not in ("asc", "desc"):
            raise errors.invalid_value("order", order, ("asc", "desc"))
        limit = paging.limit_of(query, default=10_000, most=10_000)
        purpose = query.get("purpose")
        found = [item for item in self._files.values() if purpose in (None, item.purpose)]
        ordered = found if order == "asc" else found[::-1]
        return paging.page(ordered, query.get("after"), limit, StoredFile.render)


def accept(draft: Draft, form: Mapping[str, str], filename: str, now: int) -> StoredFile:
    """Keep an uploaded file if its form is right; raises ApiError as OpenAI does."""
    purpose = form.get("purpose")
    if purpose is None:
        raise errors.missing("purpose")
    if purpose not in PURPOSES:
        raise errors.invalid_value("purpose", purpose, PURPOSES)
    if purpose == "batch" and not filename.endswith(".jsonl"):
        raise ApiError(400, "Invalid file format for Batch API. Must be .jsonl", param="file")
    if draft.bytes > (MAX_BATCH_FILE_BYTES if purpose == "batch" else MAX_FILE_BYTES):
        raise file_too_large()
    lifetime_s = _lifetime(form)
    if lifetime_s is None and purpose == "batch":
        lifetime_s = BATCH_LIFETIME_S
    return draft.keep(purpose, filename, now, lifetime_s)


def file_too_large() -> ApiError:
    return ApiError(400, "File is too large.", param="file")


def _lifetime(form: Mapping[str, str]) -> int | None:
    """Seconds of `expires_after[seconds]`, which needs `expires_after[anchor]=created_at`."""
    expiry = {
        found[1]: value
        for name, value in form.items()
        if (found := re.fullmatch(r"expires_after\[(\w+)\]", name))
    }
    if not expiry:
        return None
    seconds = expiry.get("seconds", "")
    return expires_after(
        {"anchor": expiry.get("anchor"), "seconds": int(seconds) if seconds.isdecimal() else None},
        "expires_after",
    )


def expires_after(policy: Body, name: str) -> int:
    """Seconds of an expiry policy {anchor: created_at, seconds: 3600..2592000}."""
    if policy.get("anchor") != "created_at":
        raise errors.invalid_value(f"{name}.anchor", policy.get("anchor"), ("created_at",))
    seconds = policy.get("seconds")
    if type(seconds) is not int:
        raise errors.invalid_type(f"{name}.seconds", "an integer", seconds)
    low, high = EXPIRY_RANGE_S
    if not low <= seconds <= high:
        below = seconds < low
        raise errors.out_of_range(f"{name}.seconds", seconds, low if below else high, below=below)
    return seconds
