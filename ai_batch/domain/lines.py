"""The lines of a batch's file: where each lies, and what is wrong with it. Pure.

Codes and sentences are those that OpenAI was seen to put in ``errors.data[]`` (provider-facts.md 1.3);
what it has no code for (a line too long, a file that is no text) has one in its manner.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any, NamedTuple

import orjson

MAX_REQUESTS = 50_000
MAX_FILE_BYTES = 200 * 1024 * 1024
MAX_EMBEDDING_INPUTS = 50_000
MAX_LINE_BYTES = 4 * 1024 * 1024
MAX_CUSTOM_ID = 512
#: Of a file with more errors than this the first ones are told, and how many there are.
MAX_ERRORS = 100
BLOCK_BYTES = 1024 * 1024
BLANK = b" \t\r\n"

#: How a batch's endpoint is called inside the hub.
ENDPOINTS = {
    "/v1/chat/completions": "chat",
    "/v1/completions": "completions",
    "/v1/embeddings": "embeddings",
    "/v1/moderations": "moderations",
    "/v1/responses": "responses",
}
NAMES = {
    "chat": "Chat Completions",
    "completions": "Completions",
    "embeddings": "Embeddings",
    "moderations": "Moderations",
    "responses": "Responses",
}
#: What a file of another kind begins with, and what to say of it.
FOREIGN = (
    (b"\x1f\x8b", "The file is compressed with gzip; upload it as plain JSONL."),
    (b"PK\x03\x04", "The file is a ZIP archive or a workbook, not JSONL."),
    (b"\xff\xfe", "The file is encoded in UTF-16; save it as UTF-8."),
    (b"\xfe\xff", "The file is encoded in UTF-16; save it as UTF-8."),
)
BOM = b"\xef\xbb\xbf"


class Place(NamedTuple):
    """A line of the file: its number (from 1), where it begins, its bytes; None when it is too long."""

    number: int
    offset: int
    raw: bytes | None


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a line, or with the file (``line`` None)."""

    code: str
    message: str
    param: str | None = None
    line: int | None = None

    def as_dict(self) -> dict[str, Any]:
        return {"code": self.code, "message": self.message, "param": self.param, "line": self.line}


@dataclass(frozen=True, slots=True)
class Request:
    """A line that is well formed."""

    custom_id: str
    model: str
    body: dict[str, Any]


def places(file: IO[bytes], start: int = 0, number: int = 0) -> Iterator[Place]:
    """The lines that hold something, from byte ``start`` on; ``number`` lines lie before it.

    Never more than one line is held; one that is longer than MAX_LINE_BYTES is skipped over.
    """
    file.seek(start)
    offset = start
    while raw := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        size, whole = len(raw), True
        while len(raw) > MAX_LINE_BYTES and not raw.endswith(b"\n"):
            whole = False
            raw = file.readline(MAX_LINE_BYTES + 1)
            size += len(raw)
            if not raw:
                break
        if not whole:
            yield Place(number, offset, None)
        elif raw.strip(BLANK):
            yield Place(number, offset, raw)
        offset += size


def foreign(head: bytes) -> Problem | None:
    """What the file's first bytes tell, when they are no JSONL's."""
    for mark, message in FOREIGN:
        if head.startswith(mark):
            return Problem("invalid_json_line", message, line=1)
    if b"\x00" in head[:64]:
        return Problem("invalid_json_line", "The file is not text in UTF-8.", line=1)
    if head.startswith(BOM):
        message = "This line is not parseable as valid JSON: it begins with a byte order mark."
        return Problem("invalid_json_line", message, line=1)
    return None


def request_of(place: Place, endpoint: str) -> Request | Problem:
    """The request that a line holds, or what is wrong with it."""
    number = place.number
    if place.raw is None:
        message = f"This line is longer than {MAX_LINE_BYTES} bytes."
        return Problem("line_too_long", message, line=number)
    try:
        told = orjson.loads(place.raw)
    except orjson.JSONDecodeError:
        return Problem("invalid_json_line", "This line is not parseable as valid JSON.", line=number)
    if not isinstance(told, dict):
        return Problem("invalid_json_line", "This line is not a JSON object.", line=number)
    for key in ("custom_id", "method", "url", "body"):
        if key not in told:
            message = f"Missing required parameter: '{key}'."
            return Problem("missing_required_parameter", message, key, number)
    return _fields(told, endpoint, number)


def _fields(told: dict[str, Any], endpoint: str, number: int) -> Request | Problem:
    custom_id, body = told["custom_id"], told["body"]
    if not isinstance(custom_id, str) or not custom_id or "\x00" in custom_id:
        return _invalid("custom_id", "expected a string that is not empty", number)
    if len(custom_id) > MAX_CUSTOM_ID:
        return _invalid("custom_id", f"expected at most {MAX_CUSTOM_ID} characters", number)
    if told["method"] != "POST":
        message = "Invalid value: 'method' must be 'POST'."
        return Problem("invalid_method", message, "method", number)
    if told["url"] != endpoint:
        message = "The URL provided for this request does not match the batch endpoint."
        return Problem("invalid_url", message, "url", number)
    if not isinstance(body, dict):
        return _invalid("body", "expected an object", number)
    model = body.get("model")
    if not isinstance(model, str) or not model:
        return Problem("invalid_request", "Missing required parameter: 'model'.", "body.model", number)
    if body.get("stream"):
        name = NAMES[ENDPOINTS[endpoint]]
        message = f"{name}: Streaming is not supported in the Batch API."
        return Problem("streaming_unsupported", message, "body.stream", number)
    return Request(custom_id, model, body)


def _invalid(param: str, expected: str, number: int) -> Problem:
    return Problem("invalid_request", f"Invalid type or value for '{param}': {expected}.", param, number)


def inputs_of(body: dict[str, Any]) -> int:
    """How many inputs an embeddings request has."""
    given = body.get("input")
    if isinstance(given, list) and given and not isinstance(given[0], int):
        return len(given)
    return 1


class Inspection:
    """What the reading of a file has found so far: counts, the model, the ids, the errors."""

    def __init__(self, endpoint: str, known: dict[str, int] | None = None) -> None:
        self.endpoint = endpoint
        self.total = 0
        self.inputs = 0
        self.model: str | None = None
        self.problems: list[Problem] = []
        self.count = 0
        self._ids = {} if known is None else known

    def read(self, place: Place) -> Request | None:
        """Take in one line; None when something is wrong with it."""
        self.total += 1
        found = request_of(place, self.endpoint)
        if isinstance(found, Problem):
            self.tell(found)
            return None
        first = self._ids.setdefault(found.custom_id, place.number)
        if first != place.number:
            message = (
                "The custom_id for this request is a duplicate of another request (line"
                f" {first}). The custom_id parameter must be unique for each request in a batch."
            )
            self.tell(Problem("duplicate_custom_id", message, "custom_id", place.number))
            return None
        if self.model is None:
            self.model = found.model
        elif found.model != self.model:
            message = f"All requests of a batch must use one model: '{self.model}' in the first line."
            self.tell(Problem("mismatched_model", message, "body.model", place.number))
            return None
        if self.endpoint == "/v1/embeddings":
            self.inputs += inputs_of(found.body)
        return found

    def tell(self, problem: Problem) -> None:
        """Count a problem, and keep it if it is among the first."""
        self.count += 1
        if len(self.problems) < MAX_ERRORS:
            self.problems.append(problem)

    def finish(self) -> None:
        """What can be said of the file as a whole."""
        if self.total == 0:
            self.tell(Problem("empty_file", "The batch input file is empty.", "input_file_id"))
        if self.total > MAX_REQUESTS:
            message = f"The batch has {self.total} requests; at most {MAX_REQUESTS} are allowed."
            self.tell(Problem("too_many_tasks", message, "input_file_id"))
        if self.inputs > MAX_EMBEDDING_INPUTS:
            message = (
                f"The batch has {self.inputs} embedding inputs; at most {MAX_EMBEDDING_INPUTS} are allowed."
            )
            self.tell(Problem("too_many_tasks", message, "input_file_id"))


def read_through(
    inspection: Inspection, found: Iterator[Place], take: Callable[[Place, Request], None]
) -> None:
    """Read every line; what is well formed goes to ``take`` as long as the file has no more than it may."""
    for place in found:
        request = inspection.read(place)
        if request is not None and inspection.total <= MAX_REQUESTS:
            take(place, request)
