"""Request bodies: strict JSON, bounded depth, nothing that the database could not store."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import orjson

from megahub.kernel.errors import MalformedBody, ValidationFailed

MAX_DEPTH = 32
#: What stands at the end of every key, and of little else.
END_OF_KEY = re.compile(rb'"[ \t\r\n]*:')


def loads(raw: bytes) -> Any:
    """The value that ``raw`` (UTF-8 JSON) holds.

    Raises MalformedBody for anything but strict JSON (NaN, lone surrogates, trailing text), for
    nesting deeper than ``MAX_DEPTH``, for a key that an object has twice (two readers would see two
    different requests) and for U+0000, which PostgreSQL cannot store in JSON.
    """
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        reason = f"{error.msg} at line {error.lineno} column {error.colno}"
        raise MalformedBody(words={"reason": reason}) from error
    # Counting brackets is cheap and settles nearly every body without a walk.
    if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH and too_deep(value):
        raise MalformedBody(
            "The request body is nested deeper than {levels} levels.", words={"levels": MAX_DEPTH}
        )
    if len(END_OF_KEY.findall(raw)) != keys_in(value) and (twice := repeated_key(raw)) is not None:
        raise MalformedBody("The request body has the key {key} twice.", words={"key": twice[:40]})
    if b"\\u0000" in raw and has_nul(value):
        raise MalformedBody("The request body holds the character U+0000, which cannot be stored.")
    return value


def json_object(raw: bytes) -> dict[str, Any]:
    """``loads`` for bodies that must be an object; an empty body is the empty object."""
    value = loads(raw) if raw else {}
    if not isinstance(value, dict):
        raise ValidationFailed("The request body must be a JSON object.")
    return value


def too_deep(value: Any) -> bool:
    """Whether containers nest deeper than ``MAX_DEPTH``, found without recursion."""
    level = [value]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
        level = [item for item in below if isinstance(item, dict | list)]
        if not level:
            return False
    return True


def keys_in(value: Any) -> int:
    """How many keys the objects in ``value`` have together."""
    if isinstance(value, dict):
        return len(value) + sum(keys_in(item) for item in value.values() if isinstance(item, dict | list))
    if isinstance(value, list):
        return sum(keys_in(item) for item in value if isinstance(item, dict | list))
    return 0


def repeated_key(raw: bytes) -> str | None:
    """A key that an object of this (valid) JSON has twice; None without one.

    The exact but slower look, for bodies in which something else may look like the end of a key.
    """
    found: list[str] = []

    def look(pairs: list[tuple[str, Any]]) -> None:
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                found.append(key)
            seen.add(key)

    json.loads(raw, object_pairs_hook=look, parse_int=len, parse_float=len)
    return found[0] if found else None


def has_nul(value: Any) -> bool:
    """Whether any string or key holds U+0000 (an escaped backslash before ``u0000`` does not)."""
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any("\0" in key or has_nul(item) for key, item in value.items())
    if isinstance(value, list):
        return any(has_nul(item) for item in value)
    return False


def without_nul(value: Any) -> Any:
    """A provider's answer with U+0000 replaced by U+FFFD, so that it can be stored."""
    if isinstance(value, str):
        return value.replace("\0", "\N{REPLACEMENT CHARACTER}")
    if isinstance(value, dict):
        return {without_nul(key): without_nul(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_nul(item) for item in value]
    return value


def dumps(value: Any, default: Callable[[Any], Any] | None = None) -> bytes:
    """Compact UTF-8 JSON. A number beyond 64 bits too: PostgreSQL gives 1e300 back as a whole number."""
    try:
        return orjson.dumps(value, default)
    except TypeError:
        text = json.dumps(
            value, ensure_ascii=False, separators=(",", ":"), default=default, allow_nan=False
        )
        return text.encode()
