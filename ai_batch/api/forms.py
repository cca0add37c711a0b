"""What clients send to files and batches, checked in OpenAI's words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import PurePath
from typing import Any

from ai_batch.api.uploads import Upload
from ai_batch.domain.lines import ENDPOINTS
from ai_batch.domain.refusals import InvalidFileFormat
from ai_batch.models import Batch
from megahub.kernel import clock
from megahub.kernel.errors import ValidationFailed

PURPOSES = ("batch",)
LIFETIMES = (3600, 2_592_000)
#: A batch's file is kept this long unless it says otherwise.
BATCH_FILE_DAYS = 30
MAX_METADATA = 16
MAX_KEY = 64
MAX_VALUE = 512
MAX_FILENAME = 255
KINDS = {str: "a string", int: "an integer", dict: "an object", list: "an array", bool: "a boolean"}


def missing(name: str) -> ValidationFailed:
    """A parameter that is not there."""
    return ValidationFailed("Missing required parameter: '{name}'.", param=name, words={"name": name})


def wrong_value(name: str, value: Any, choices: Iterable[str]) -> ValidationFailed:
    """A value that is none of the choices."""
    shown = ", ".join(f"'{choice}'" for choice in choices)
    message = "Invalid value: '{value}'. Supported values are: {choices}."
    words = {"value": str(value)[:80], "choices": shown}
    return ValidationFailed(message, param=name, words=words)


def wrong_type(name: str, expected: str, value: Any) -> ValidationFailed:
    """A value of another type."""
    got = KINDS.get(type(value), "null" if value is None else "a number")
    message = "Invalid type for '{name}': expected {expected}, but got {got} instead."
    return ValidationFailed(message, param=name, words={"name": name, "expected": expected, "got": got})


def out_of_range(name: str, low: int, high: int) -> ValidationFailed:
    """A number that is too small or too large."""
    message = "Invalid value for '{name}': expected a number between {low} and {high}."
    return ValidationFailed(message, param=name, words={"name": name, "low": low, "high": high})


def check_suffix(upload: Upload) -> None:
    """Raises InvalidFileFormat for a file that is not called JSONL."""
    if PurePath(upload.filename).suffix.lower() != ".jsonl":
        raise InvalidFileFormat(param="file")


def check_upload(upload: Upload) -> None:
    """Raises what is wrong with a file's form."""
    if upload.file is None:
        raise missing("file")
    purpose = upload.texts.get("purpose")
    if purpose is None:
        raise missing("purpose")
    if purpose not in PURPOSES:
        raise wrong_value("purpose", purpose, PURPOSES)
    check_suffix(upload)
    unknown = sorted(set(upload.texts) - {"purpose", "expires_after[anchor]", "expires_after[seconds]"})
    if unknown:
        message = "Unknown parameter: '{name}'."
        raise ValidationFailed(message, param=unknown[0], words={"name": unknown[0][:80]})


def filename_of(upload: Upload) -> str:
    """The file's own name, without what could lead elsewhere or break a header."""
    name = "".join(c for c in PurePath(upload.filename.replace("\\", "/")).name if c.isprintable())
    return name[-MAX_FILENAME:] or "file.jsonl"


def expiry_of(texts: Mapping[str, str]) -> datetime:
    """When an uploaded file goes: as the form says, else after a month."""
    anchor, seconds = texts.get("expires_after[anchor]"), texts.get("expires_after[seconds]")
    if anchor is None and seconds is None:
        return clock.now() + timedelta(days=BATCH_FILE_DAYS)
    number = int(seconds) if seconds is not None and seconds.isdecimal() and len(seconds) < 10 else seconds
    return clock.now() + timedelta(seconds=lifetime({"anchor": anchor, "seconds": number}, "expires_after"))


def lifetime(policy: Any, name: str) -> int:
    """The seconds of ``{anchor: "created_at", seconds}``."""
    if not isinstance(policy, dict):
        raise wrong_type(name, "an object", policy)
    if policy.get("anchor") != "created_at":
        raise wrong_value(f"{name}.anchor", policy.get("anchor"), ("created_at",))
    seconds = policy.get("seconds")
    if not isinstance(seconds, int) or isinstance(seconds, bool):
        raise wrong_type(f"{name}.seconds", "an integer", seconds)
    if not LIFETIMES[0] <= seconds <= LIFETIMES[1]:
        raise out_of_range(f"{name}.seconds", *LIFETIMES)
    return seconds


def limit_of(query: Mapping[str, str], default: int, most: int, name: str = "limit") -> int:
    """A page's size."""
    text = query.get(name)
    if text is None:
        return default
    if not text.isdecimal() or len(text) > 9:
        raise wrong_type(name, "an integer", text)
    if not 1 <= int(text) <= most:
        raise out_of_range(name, 1, most)
    return int(text)


def refuse_unknown(given: Iterable[str], known: Iterable[str]) -> None:
    """Raises ValidationFailed for a name that nobody reads."""
    unknown = sorted(set(given) - set(known))
    if unknown:
        message = "Unknown parameter: '{name}'."
        raise ValidationFailed(message, param=unknown[0], words={"name": unknown[0][:80]})


BATCH_KEYS = (
    "input_file_id",
    "endpoint",
    "completion_window",
    "metadata",
    "output_expires_after",
    "engine",
)
MORE_KEYS = ("max_attempts", "backoff_seconds", "notify")
ENGINES = ("auto", "provider", "hub")


def batch_of(body: dict[str, Any]) -> dict[str, Any]:
    """The fields of a new batch. Raises what the provider too refuses at once."""
    refuse_unknown(body, (*BATCH_KEYS, *MORE_KEYS))
    for name in ("input_file_id", "endpoint", "completion_window"):
        if body.get(name) is None:
            raise missing(name)
        if not isinstance(body[name], str):
            raise wrong_type(name, "a string", body[name])
    if body["endpoint"] not in ENDPOINTS:
        raise wrong_value("endpoint", body["endpoint"], ENDPOINTS)
    if body["completion_window"] != "24h":
        raise wrong_value("completion_window", body["completion_window"], ("24h",))
    engine = "auto" if body.get("engine") is None else body["engine"]
    if not isinstance(engine, str) or engine not in ENGINES:
        raise wrong_value("engine", engine, ENGINES)
    policy = body.get("output_expires_after")
    found = {
        "input_file_id": body["input_file_id"],
        "endpoint": body["endpoint"],
        "completion_window": "24h",
        "metadata": metadata_of(body.get("metadata")),
        "engine_asked": engine,
        "output_expires_seconds": None if policy is None else lifetime(policy, "output_expires_after"),
    }
    if body.get("notify") is not None:
        if not isinstance(body["notify"], bool):
            raise wrong_type("notify", "a boolean", body["notify"])
        found["notify"] = body["notify"]
    for name, low, high in (("max_attempts", 1, 10), ("backoff_seconds", 0, 3600)):
        if body.get(name) is not None:
            found[name] = _number(name, body[name], low, high)
    return found


def _number(name: str, value: Any, low: int, high: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise wrong_type(name, "an integer", value)
    if not low <= value <= high:
        raise out_of_range(name, low, high)
    return value


def metadata_of(given: Any) -> dict[str, str] | None:
    """Up to 16 texts by name."""
    if given is None:
        return None
    if not isinstance(given, dict):
        raise wrong_type("metadata", "an object", given)
    if len(given) > MAX_METADATA:
        message = "Invalid 'metadata': too many properties. Expected at most {limit}."
        raise ValidationFailed(message, param="metadata", words={"limit": MAX_METADATA})
    for key, value in given.items():
        if not isinstance(value, str):
            raise wrong_type(f"metadata.{key[:MAX_KEY]}", "a string", value)
        if len(key) > MAX_KEY or len(value) > MAX_VALUE:
            message = "Invalid 'metadata': keys have at most {key} characters, values {value}."
            raise ValidationFailed(message, param="metadata", words={"key": MAX_KEY, "value": MAX_VALUE})
    return given


def offset_of(query: Mapping[str, str]) -> int:
    """How many rows to skip."""
    text = query.get("offset", "0")
    if not text.isdecimal() or len(text) > 9:
        raise wrong_type("offset", "an integer", text)
    return int(text)


FILTERS = ("status", "endpoint", "engine", "created_after", "created_before", "search")
MAX_SEARCH = 80


def filters_of(query: Mapping[str, str]) -> dict[str, Any]:
    """What a list of batches is narrowed to. Raises ValidationFailed."""
    found: dict[str, Any] = {}
    for name, choices in (
        ("status", Batch.Status.values),
        ("endpoint", tuple(ENDPOINTS)),
        ("engine", ENGINES[1:]),
    ):
        if name in query:
            if query[name] not in choices:
                raise wrong_value(name, query[name], choices)
            found[name] = query[name]
    for name in ("created_after", "created_before"):
        if name in query:
            found[name] = _moment(name, query[name])
    if "search" in query:
        if not 1 <= len(query["search"]) <= MAX_SEARCH or "\x00" in query["search"]:
            message = "Invalid value for 'search': expected 1 to {most} characters."
            raise ValidationFailed(message, param="search", words={"most": MAX_SEARCH})
        found["search"] = query["search"]
    return found


def _moment(name: str, text: str) -> datetime:
    """Seconds since 1970, as batches tell theirs."""
    if not text.isdecimal() or len(text) > 11:
        raise wrong_type(name, "an integer", text)
    return datetime.fromtimestamp(int(text), UTC)
