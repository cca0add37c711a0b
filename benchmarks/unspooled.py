"""The hub's application without its response spool: what ``benchmarks.guarantees`` begins from."""

from __future__ import annotations

from megahub.asgi import application

# Its applications are loaded by the line above.
from ai_core.services import spooling  # isort: skip
from ai_core.services.settle import Settlement  # isort: skip

__all__ = ["application"]


def _nothing(settlement: Settlement) -> None:
    """What was heard is not written down."""


spooling.keep = _nothing
