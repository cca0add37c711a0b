"""``params.clean`` for the lines of a batch: what is the same in many is looked at once. Pure."""

from __future__ import annotations

from typing import Any

import orjson

from ai_providers.domain import messages, params
from ai_providers.domain.spec import ModelSpec

#: Different sets of parameters that are remembered of one batch.
MANY = 100


class Cleaner:
    """Cleans requests to one model; of a chat, all but what is said in it is known again."""

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self._good: dict[bytes, dict[str, Any]] = {}

    def clean(self, body: dict[str, Any]) -> dict[str, Any]:
        """The parameters as they are sent. Raises as ``params.clean`` does."""
        known = self.known(body)
        if known is not None:
            return {**known, "messages": messages.clean(self.spec, body["messages"])}
        cleaned = params.clean(self.spec, body, with_defaults=False).params
        if "messages" in body and len(self._good) < MANY:
            self._good[_mark(body)] = {key: value for key, value in cleaned.items() if key != "messages"}
        return cleaned

    def known(self, body: dict[str, Any]) -> dict[str, Any] | None:
        """A good chat's cleaned parameters without its messages; None when something is new, or wrong."""
        said = body.get("messages")
        if self.spec.kind != "chat" or not isinstance(said, list):
            return None
        found = self._good.get(_mark(body))
        return None if found is None or messages.problems(self.spec, said) else found


def _mark(body: dict[str, Any]) -> bytes:
    return orjson.dumps({name: value for name, value in body.items() if name != "messages"})
