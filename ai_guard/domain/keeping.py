"""How much of a request and its answer is kept: all, masked, or nothing but its figures. Pure."""

from __future__ import annotations

from typing import Any, Literal

from megahub.kernel import personal

Keep = Literal["all", "masked", "none"]
#: Texts that say nothing of what was asked: the hub's own words and the model's switches.
NAMES = frozenset(
    "model reasoning_effort verbosity encoding_format stream_options messages_format service_tier".split()
)


def kept(keep: str, value: Any) -> Any:
    """A request (or its parameters) as it is kept."""
    if keep == "masked":
        return personal.mask_all(value)
    if keep == "none":
        items = value.items() if isinstance(value, dict) else ()
        return {key: item for key, item in items if key in NAMES or isinstance(item, bool | int | float)}
    return value


def kept_text(keep: str, text: str) -> str:
    """A description as it is kept."""
    if keep == "none":
        return ""
    return personal.mask(text) if keep == "masked" else text


def kept_answer(keep: str, answer: Any) -> Any:
    """An answer as it is kept; None when none is."""
    if answer is None or keep == "none":
        return None
    return personal.mask_all(answer) if keep == "masked" else answer


def kept_error(keep: str, error: dict[str, Any] | None) -> dict[str, Any] | None:
    """What a job failed with: a provider may quote the prompt."""
    if error is None or keep == "all":
        return error
    if keep == "masked":
        return dict(personal.mask_all(error))
    quoted = error.get("words", {})
    if "reason" not in quoted:
        return error
    return {**error, "words": {**quoted, "reason": "…"}}
