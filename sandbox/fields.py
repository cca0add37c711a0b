"""Checks of a request's fields, refused in OpenAI's words with the parameter named."""

from collections.abc import Mapping
from dataclasses import dataclass

from sandbox import errors
from sandbox.prompts import Body


@dataclass(frozen=True, slots=True)
class Rule:
    """What a field may be: its JSON types, in words, and its bounds (inclusive) or values."""

    kinds: tuple[type, ...]
    expected: str
    low: float | None = None
    high: float | None = None
    values: tuple[str, ...] = ()

    def check(self, name: str, value: object) -> None:
        # `type(...) in`, not isinstance: for JSON a boolean is no integer.
        if type(value) not in self.kinds:
            raise errors.invalid_type(name, self.expected, value)
        if self.values and value not in self.values:
            raise errors.invalid_value(name, value, self.values)
        if isinstance(value, int | float):
            self._check_bounds(name, value)

    def _check_bounds(self, name: str, value: float) -> None:
        kind = "decimal" if float in self.kinds else "integer"
        if self.low is not None and value < self.low:
            raise errors.out_of_range(name, value, self.low, below=True, kind=kind)
        if self.high is not None and value > self.high:
            raise errors.out_of_range(name, value, self.high, below=False, kind=kind)


TEXT = Rule((str,), "a string")
FLAG = Rule((bool,), "a boolean")
OBJECT = Rule((dict,), "an object")
ARRAY = Rule((list,), "an array")
TEXT_OR_ARRAY = Rule((str, list), "a string or an array")
INTEGER = Rule((int,), "an integer")


def integer(low: int, high: int | None = None) -> Rule:
    return Rule((int,), "an integer", low, high)


def decimal(low: float, high: float) -> Rule:
    return Rule((int, float), "a decimal", low, high)


def one_of(*values: str) -> Rule:
    return Rule((str,), "a string", values=values)


def check(body: Body, rules: Mapping[str, Rule], required: tuple[str, ...] = ()) -> None:
    """Raise ApiError for the first field that is missing or breaks its rule; null is absent."""
    for name in required:
        if body.get(name) is None:
            raise errors.missing(name)
    for name, value in body.items():
        rule = rules.get(name)
        if rule is not None and value is not None:
            rule.check(name, value)


def check_text_array(name: str, value: object) -> None:
    """Refuse an array that holds anything but strings, naming the element."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            TEXT.check(f"{name}[{index}]", item)
