"""The broker of files: what the doorbell rings with on a machine without Redis."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kombu.transport import filesystem
from kombu.utils.json import dumps

LONGEST_WAIT_SECONDS = 0.2


class Channel(filesystem.Channel):
    """kombu's own, with no file seen half written.

    kombu makes its files empty, locks them and fills them: whoever reads in between finds no JSON, and
    a worker ends of it. Here a message appears under its name when it is whole, and who is bound to
    what is read and changed by one process at a time.
    """

    def _put(self, queue: str, payload: Any, **_: Any) -> None:  # type: ignore[override]
        name = f"{round(time.monotonic() * 1000)}_{uuid.uuid4()}.{queue}.msg"
        folder = Path(self.data_folder_out)
        growing = folder / f"{name}.part"
        growing.write_text(dumps(payload))  # type: ignore[no-untyped-call]
        growing.rename(folder / name)

    def get_table(self, exchange: str) -> Any:
        with self._alone():
            return super().get_table(exchange)  # type: ignore[no-untyped-call]

    def _queue_bind(self, *binding: Any) -> None:
        with self._alone():
            super()._queue_bind(*binding)  # type: ignore[no-untyped-call]

    def _delete(self, *binding: Any, **more: Any) -> None:
        with self._alone():
            super()._delete(*binding, **more)  # type: ignore[no-untyped-call]

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else looks at the control folder meanwhile."""
        self.control_folder.mkdir(exist_ok=True)
        with (self.control_folder / "lock").open("w") as file:
            filesystem.lock(file, filesystem.LOCK_EX)  # type: ignore[no-untyped-call]
            yield


class Transport(filesystem.Transport):
    """kombu's own, back in time to see that its worker is to end.

    Celery waits for messages 2 seconds at a time, and once more after it was told to end.
    """

    Channel = Channel

    def drain_events(self, connection: Any, timeout: float | None = None, **_: Any) -> None:
        """Deliver a message; TimeoutError when none has come in ``timeout`` seconds (0.2 at most)."""
        wait = LONGEST_WAIT_SECONDS if timeout is None else min(timeout, LONGEST_WAIT_SECONDS)
        super().drain_events(connection, timeout=wait)  # type: ignore[no-untyped-call]
