"""Beat's clock: Celery's, with a new connection after a message that could not be sent."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from celery.beat import PersistentScheduler, SchedulingError
from kombu.exceptions import KombuError


class Scheduler(PersistentScheduler):
    """Celery's keeps its one connection for good. Nothing repeats a message here (the next is due in
    seconds), and nothing else would notice that RabbitMQ has closed it: beat failed until it was restarted.
    """

    def apply_async(self, entry: Any, producer: Any = None, advance: bool = True, **kwargs: Any) -> Any:
        try:
            return super().apply_async(entry, producer=producer, advance=advance, **kwargs)
        except SchedulingError:
            self._forget_connection()
            raise

    def _forget_connection(self) -> None:
        self.__dict__.pop("producer", None)
        connection = self.__dict__.pop("connection", None)
        if connection is not None:
            with suppress(OSError, KombuError):  # it is dead anyway
                connection.collapse()
