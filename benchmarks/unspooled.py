"""The hub's application without its response spool: what ``benchmarks.guarantees`` begins from."""

from __future__ import annotations

from megahub.asgi import application

# Its applications are loaded by the line above.
from ai_core.services.process_spool import ProcessSpool  # isort: skip

__all__ = ["application"]


def _nothing(spool: object, ended: object) -> None:
    """What was heard is not written down."""


ProcessSpool.keep = _nothing  # type: ignore[method-assign]
