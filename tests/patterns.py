"""Regular expressions that may backtrack without end: a repetition of any length inside of another."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from re import _parser  # type: ignore[attr-defined]

#: Repetitions of up to that many are no danger, even one inside of another.
FEW = 100
#: What gives nothing back once it has matched.
KEEPS = {"POSSESSIVE_REPEAT", "ATOMIC_GROUP"}
REPEATS = {"MAX_REPEAT", "MIN_REPEAT"}


def nests(pattern: str) -> bool:
    """Whether an open-ended repetition stands inside of another one, or repeats what may be empty."""
    return any(_nested(_parser.parse(pattern), inside=False))


def _nested(parsed: Any, *, inside: bool) -> Iterator[bool]:
    for code, argument in parsed:
        name = str(code)
        if name in KEEPS:
            continue
        many = name in REPEATS and argument[1] > FEW
        yield many and inside
        for part in _parts(argument):
            yield from _nested(part, inside=inside or many)


def _parts(argument: Any) -> Iterator[Any]:
    """The patterns within an argument of the parser's."""
    if isinstance(argument, _parser.SubPattern):
        yield argument
    elif isinstance(argument, tuple | list):
        for part in argument:
            yield from _parts(part)
