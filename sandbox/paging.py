"""OpenAI's lists: `after` (an id), `limit`, and {object, data, first_id, last_id, has_more}."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from sandbox import errors
from sandbox.prompts import Body


class Named(Protocol):
    @property
    def id(self) -> str: ...


T = TypeVar("T", bound=Named)


def limit_of(query: Mapping[str, str], *, default: int, most: int) -> int:
    """The `limit` of a query; raises ApiError when it is no number or out of bounds."""
    text = query.get("limit")
    if text is None:
        return default
    if not text.isdecimal():
        raise errors.invalid_type("limit", "an integer", text)
    if not 1 <= int(text) <= most:
        low = int(text) < 1
        raise errors.out_of_range("limit", int(text), 1 if low else most, below=low)
    return int(text)


def page(items: Sequence[T], after: str | None, limit: int, render: Callable[[T], Body]) -> Body:
    """One page of the items that follow the one whose id is `after`."""
    start = 0
    if after is not None:
        places = [place for place, item in enumerate(items) if item.id == after]
        if not places:
            raise errors.unknown_object("after", after)
        start = places[0] + 1
    shown = items[start : start + limit]
    return {
        "object": "list",
        "data": [render(item) for item in shown],
        "first_id": shown[0].id if shown else None,
        "last_id": shown[-1].id if shown else None,
        "has_more": start + limit < len(items),
    }
