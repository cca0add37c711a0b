"""The lines of a batch: what is wrong with one, and what is written about one. Pure.

Codes and texts are those that OpenAI was seen to put in `errors.data[]`. `model_mismatch`,
`duplicate_custom_id`, `empty_file` and `too_many_tasks` have their names from a single source.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from sandbox.models import UNKNOWN_MARK
from sandbox.prompts import Body

MAX_LINES = 50_000
MAX_EMBEDDING_INPUTS = 50_000
# Of a file with more faults than this only the first ones are told.
MAX_ERRORS = 1000

# What the body of a line must have besides a model.
_SUBJECTS = {
    "/v1/chat/completions": "messages",
    "/v1/completions": "prompt",
    "/v1/embeddings": "input",
    "/v1/moderations": "input",
    "/v1/responses": "input",
}
ENDPOINTS = tuple(_SUBJECTS)


@dataclass(slots=True)
class Inspection:
    """What the reading of a whole file has found so far."""

    endpoint: str
    total: int = 0
    model: str | None = None
    errors: list[Body] = field(default_factory=list)
    _custom_ids: set[str] = field(default_factory=set)
    _embedding_inputs: int = 0

    def read(self, number: int, raw: bytes) -> None:
        """Take in one line, numbered from 1."""
        self.total += 1
        for error in self._faults(raw):
            self._tell(**error, line=number)

    def finish(self) -> None:
        if self.total == 0:
            self._tell("empty_file", "The batch file is empty.", "input_file_id")
        if self.total > MAX_LINES:
            text = f"The batch file has more than {MAX_LINES} requests."
            self._tell("too_many_tasks", text, "input_file_id")
        if self._embedding_inputs > MAX_EMBEDDING_INPUTS:
            text = f"The batch file has more than {MAX_EMBEDDING_INPUTS} embedding inputs."
            self._tell("too_many_tasks", text, "input_file_id")

    def _tell(self, code: str, message: str, param: str | None, line: int | None = None) -> None:
        if len(self.errors) < MAX_ERRORS:
            self.errors.append({"code": code, "message": message, "param": param, "line": line})

    def _faults(self, raw: bytes) -> Iterator[dict[str, Any]]:
        try:
            line = orjson.loads(raw)
        except orjson.JSONDecodeError:
            line = None
        if not isinstance(line, dict):
            yield _error("invalid_json_line", "This line is not parseable as valid JSON.", None)
            return
        missing = [name for name in ("custom_id", "method", "url", "body") if not line.get(name)]
        for name in missing:
            text = f"Missing required parameter: '{name}'."
            yield _error("missing_required_parameter", text, name)
        if missing:
            return
        yield from self._envelope_faults(line)
        if isinstance(line["body"], dict):
            yield from self._body_faults(line["body"])

    def _envelope_faults(self, line: Body) -> Iterator[dict[str, Any]]:
        if not isinstance(line["custom_id"], str):
            yield _error("invalid_request", "The custom_id must be a string.", "custom_id")
        elif line["custom_id"] in self._custom_ids:
            text = (
                "The custom_id for this request is a duplicate of another request. "
                "The custom_id parameter must be unique for each request in a batch."
            )
            yield _error("duplicate_custom_id", text, "custom_id")
        else:
            self._custom_ids.add(line["custom_id"])
        if line["method"] != "POST":
            yield _error("invalid_method", "The method of a request must be POST.", "method")
        if line["url"] != self.endpoint:
            text = "The URL provided for this request does not match the batch endpoint."
            yield _error("invalid_url", text, "url")
        if not isinstance(line["body"], dict):
            yield _error("invalid_request", "The body must be an object.", "body")

    def _body_faults(self, body: Body) -> Iterator[dict[str, Any]]:
        model, subject = body.get("model"), _SUBJECTS[self.endpoint]
        if not isinstance(model, str):
            yield _error("invalid_request", "Missing required parameter: 'model'.", "body.model")
        elif UNKNOWN_MARK in model:
            text = f"The provided model '{model}' is not supported by the Batch API."
            yield _error("model_not_found", text, "body.model")
        elif model != (self.model or model):
            text = f"All requests of a batch must use one model, here '{self.model}'."
            yield _error("model_mismatch", text, "body.model")
        else:
            self.model = model
        if not body.get(subject):
            text = f"Missing required parameter: '{subject}'."
            yield _error("invalid_request", text, f"body.{subject}")
        if body.get("stream"):
            text = "Chat Completions: Streaming is not supported in the Batch API."
            yield _error("streaming_unsupported", text, "body.stream")
        if self.endpoint == "/v1/embeddings":
            self._embedding_inputs += _inputs(body.get("input"))


def _inputs(source: Any) -> int:
    """Inputs in an `input`: a list of texts or of token lists holds many, all else is one."""
    many = isinstance(source, list) and any(isinstance(item, str | list) for item in source)
    return len(source) if many else 1


def _error(code: str, message: str, param: str | None) -> dict[str, Any]:
    return {"code": code, "message": message, "param": param}


def answered(line_id: str, custom_id: str, request_id: str, status: int, body: Body) -> bytes:
    """The line of an answer over HTTP, whatever its status: `error` is null even at 400."""
    response = {"status_code": status, "request_id": request_id, "body": body}
    return _line(line_id, custom_id, response, None)


def expired(line_id: str, custom_id: str) -> bytes:
    error = {
        "code": "batch_expired",
        "message": "This request could not be executed before the completion window expired.",
    }
    return _line(line_id, custom_id, None, error)


def _line(line_id: str, custom_id: str, response: Body | None, error: Body | None) -> bytes:
    line = {"id": line_id, "custom_id": custom_id, "response": response, "error": error}
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
