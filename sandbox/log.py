"""What was asked of the sandbox and what it answered, so that a checker can compare with the hub.

The last calls are kept in memory, and in a file if one is named. A call is in memory from the
moment it arrives; `status` is null until the answer begins, and stays null if none ever did.
"""

import time
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count, islice
from pathlib import Path

import orjson

KEPT_CALLS = 100_000


@dataclass(slots=True)
class Entry:
    n: int
    time: float  # seconds since 1970
    method: str
    path: str
    client_request_id: str | None
    request_id: str
    model: str | None = None
    status: int | None = None
    fault: str | None = None

    def line(self) -> bytes:
        return orjson.dumps(
            {
                "n": self.n,
                "time": datetime.fromtimestamp(self.time, UTC),
                "method": self.method,
                "path": self.path,
                "model": self.model,
                "client_request_id": self.client_request_id,
                "request_id": self.request_id,
                "status": self.status,
                "fault": self.fault,
            },
            option=orjson.OPT_APPEND_NEWLINE,
        )


class CallLog:
    def __init__(self, path: Path | None = None, kept: int = KEPT_CALLS) -> None:
        self._entries: deque[Entry] = deque(maxlen=kept)
        self._numbers = count(1)
        # Unbuffered: a checker reads the file while the sandbox runs.
        self._file = path.open("ab", buffering=0) if path else None
        self._run = f"{time.time_ns():016x}"

    def open(self, method: str, path: str, client_request_id: str | None) -> Entry:
        n = next(self._numbers)
        request_id = f"req_{self._run}{n:016x}"
        entry = Entry(n, time.time(), method, path, client_request_id, request_id)
        self._entries.append(entry)
        return entry

    def close(self, entry: Entry) -> None:
        if self._file is not None:
            self._file.write(entry.line())

    def after(self, n: int) -> bytes:
        """The calls numbered above `n` that are still kept, as JSON lines."""
        if not self._entries:
            return b""
        skipped = max(n + 1 - self._entries[0].n, 0)
        return b"".join(entry.line() for entry in islice(self._entries, skipped, None))

    def clear(self) -> int:
        """Forget the calls kept in memory and say how many; the numbers go on."""
        removed = len(self._entries)
        self._entries.clear()
        return removed

    def shut(self) -> None:
        if self._file is not None:
            self._file.close()
