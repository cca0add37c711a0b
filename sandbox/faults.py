"""Faults on demand: what a spec means, and which of them a call meets.

A spec is a comma-separated list, for example `delay=50ms, status=429, retry_after=7`; KNOBS names
every part. It comes with a request (header `x-sandbox-fault`, or `[sandbox: spec]` in the last user
text) or from the process-wide table, in this order of precedence; they are not merged.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sandbox import errors, fields, tokens
from sandbox.errors import ApiError
from sandbox.prompts import Body, fault_spec, prompt_text

HEADER = "x-sandbox-fault"
STATUSES = (401, 429, 500, 503, 529)

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s)")
_NAME = re.compile(r"[A-Za-z_][\w.\[\]]*")


@dataclass(frozen=True, slots=True)
class Fault:
    """One spec, parsed; the knobs are told in docs/sandbox.md."""

    spec: str | None = None
    delay_s: float = 0.0
    token_delay_s: float = 0.0
    first_byte_s: float = 0.0
    first_chunk_s: float = 0.0
    status: int | None = None
    retry_after_s: int | None = None
    retry_after_ms: int | None = None
    cut: int | None = None
    stall: int | None = None
    malformed: bool = False
    empty: bool = False
    no_usage: bool = False
    context: bool = False
    quota: bool = False
    refuse_param: str | None = None


NO_FAULT = Fault()


def _duration(text: str) -> float:
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError("expected a duration such as 50ms or 3s")
    return float(found[1]) / (1000 if found[2] == "ms" else 1)


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise ValueError("expected a whole number")
    return int(text)


def _status(text: str) -> int:
    if _whole(text) not in STATUSES:
        raise ValueError(f"expected one of {', '.join(map(str, STATUSES))}")
    return int(text)


def _param(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError("expected the name of a parameter")
    return text


def _bare(text: str) -> bool:
    if text:
        raise ValueError("it takes no value")
    return True


# knob -> field of Fault, reader of its value
KNOBS: dict[str, tuple[str, Callable[[str], object]]] = {
    "delay": ("delay_s", _duration),
    "token_delay": ("token_delay_s", _duration),
    "first_byte": ("first_byte_s", _duration),
    "first_chunk": ("first_chunk_s", _duration),
    "status": ("status", _status),
    "retry_after": ("retry_after_s", _whole),
    "retry_after_ms": ("retry_after_ms", _whole),
    "cut": ("cut", _whole),
    "stall": ("stall", _whole),
    "malformed": ("malformed", _bare),
    "empty": ("empty", _bare),
    "no_usage": ("no_usage", _bare),
    "context": ("context", _bare),
    "quota": ("quota", _bare),
    "refuse_param": ("refuse_param", _param),
}


@lru_cache(maxsize=1024)
def parse(spec: str) -> Fault:
    """The fault of a spec; raises ApiError 400 naming the part that is not understood."""
    found: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in spec.split(","))):
        name, _, value = part.partition("=")
        if name not in KNOBS:
            raise _refused(part, f"the knobs are {', '.join(KNOBS)}")
        field, read = KNOBS[name]
        try:
            found[field] = read(value)
        except ValueError as error:
            raise _refused(part, str(error)) from None
    if found.keys() & {"retry_after_s", "retry_after_ms"} and "status" not in found:
        raise _refused(spec, "retry_after needs a status")
    return Fault(spec=spec, **found) if found else NO_FAULT


def _refused(part: str, why: str) -> ApiError:
    # No `param`: at an Infomaniak path it would turn the 400 into a 422.
    return ApiError(400, f"Unknown sandbox fault '{part}': {why}.", code="unknown_fault")


def of_prompt(body: Body) -> Fault:
    """The fault that the last user text of a body asks for."""
    spec = fault_spec(prompt_text(body))
    return NO_FAULT if spec is None else parse(spec)


def refuse(fault: Fault, body: Body, key: str) -> None:
    """Raise the error that the fault asks for, if it asks for one."""
    if fault.status is not None:
        raise _status_error(fault, str(body.get("model")), key)
    if fault.quota:
        raise errors.quota_exceeded()
    if fault.context:
        raise errors.context_length(tokens.of_json(body.get("messages")))
    # Only when it was sent, so that a hub that drops the parameter and asks again is answered.
    if fault.refuse_param is not None and fault.refuse_param in body:
        raise errors.unsupported_parameter(fault.refuse_param)


def _status_error(fault: Fault, model: str, key: str) -> ApiError:
    match fault.status:
        case 401:
            error = errors.invalid_key(key)
        case 429:
            error = errors.rate_limited(model, fault.retry_after_s or 1)
        case 500:
            error = errors.server_error()
        case 503:
            error = errors.unavailable()
        case _:
            error = errors.overloaded()
    if fault.retry_after_s is not None:
        error.headers["retry-after"] = str(fault.retry_after_s)
    if fault.retry_after_ms is not None:
        error.headers["retry-after-ms"] = str(fault.retry_after_ms)
    return error


# -- the process-wide table ---------------------------------------------------------------------


@dataclass(slots=True)
class Standing:
    """A fault for every call that matches, `times` times or (None) for ever."""

    fault: Fault
    times: int | None
    model: str | None
    path: str | None
    used: int = 0

    def matches(self, model: str | None, path: str) -> bool:
        if self.times is not None and self.used >= self.times:
            return False
        if self.model is not None and self.model != model:
            return False
        return self.path is None or self.path in path

    def render(self) -> Body:
        match = {"model": self.model, "path": self.path}
        wanted = {name: value for name, value in match.items() if value is not None}
        return {
            "spec": self.fault.spec,
            "times": self.times,
            "match": wanted or None,
            "used": self.used,
        }


class FaultTable:
    """The process-wide faults, in the order they were added; the first that matches is taken."""

    def __init__(self) -> None:
        self._standing: list[Standing] = []

    def add(self, order: Body) -> Body:
        """Add a fault from the body of `POST /sandbox/faults`; raises ApiError when it is wrong."""
        _refuse_unknown(order, ("spec", "times", "match"), "")
        fields.check(order, ORDER_RULES, required=("spec",))
        match = order.get("match") or {}
        _refuse_unknown(match, ("model", "path"), "match.")
        fields.check(match, MATCH_RULES)
        entry = Standing(parse(order["spec"]), order.get("times"), match.get("model"), match.get("path"))
        self._standing.append(entry)
        return entry.render()

    def render(self) -> Body:
        return {"object": "list", "data": [entry.render() for entry in self._standing]}

    def clear(self) -> int:
        """Remove all faults and say how many there were."""
        removed = len(self._standing)
        self._standing.clear()
        return removed

    def pick(self, header: str | None, body: Body, path: str) -> Fault:
        """The fault of one call: its header's, else its prompt's, else the table's."""
        own = of_prompt(body) if header is None else parse(header)
        if own is not NO_FAULT:
            return own
        for entry in self._standing:
            if entry.matches(body.get("model"), path):
                entry.used += 1
                return entry.fault
        return NO_FAULT


ORDER_RULES = {"spec": fields.TEXT, "times": fields.integer(1), "match": fields.OBJECT}
MATCH_RULES = {"model": fields.TEXT, "path": fields.TEXT}


def _refuse_unknown(found: Body, accepted: tuple[str, ...], prefix: str) -> None:
    for name in found:
        if name not in accepted:
            raise ApiError(
                400,
                f"Unknown parameter: '{prefix}{name}'. Accepted: {', '.join(accepted)}.",
                param=f"{prefix}{name}",
                code="unknown_parameter",
            )
