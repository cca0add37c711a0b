"""What is written of a line in the output and error files, as OpenAI writes it. Pure."""

from __future__ import annotations

from typing import Any

import orjson

from megahub.kernel import surfaces
from megahub.kernel.errors import HubError

#: What is written of a line that was never answered, by how it ended.
UNANSWERED = {
    "expired": (
        "batch_expired",
        "This request could not be executed before the completion window expired.",
    ),
    "cancelled": ("batch_cancelled", "This request was not executed because the batch was cancelled."),
    "failed": ("batch_failed", "The provider refused the batch; its errors say why."),
    "lost": (
        "outcome_unknown",
        "The process that ran this request was lost after it had called the provider.",
    ),
}
#: A line's number in the ledger lies below those of manual entries, which lie below every job's.
FIRST_LEDGER_NUMBER = -(2**62) - 1


def ref_of(line_pk: int) -> str:
    """A line's public name."""
    return f"batch_req_{line_pk:016x}"


def ledger_number(line_pk: int) -> int:
    """The number under which the ledger knows a line; no job and no manual entry has it."""
    return FIRST_LEDGER_NUMBER - line_pk


def answered(line_pk: int, custom_id: str, status: int, request_id: str, body: Any) -> str:
    """A line that the provider answered, well or not."""
    response = {"status_code": status, "request_id": request_id, "body": body}
    return _line(line_pk, custom_id, response, None)


def refused(line_pk: int, custom_id: str, error: HubError, request_id: str) -> str:
    """A line that ended with an error: as an answer with a status, in OpenAI's words."""
    body = surfaces.openai(error, str, request_id)
    return answered(line_pk, custom_id, error.status, request_id, body)


def unanswered(line_pk: int, custom_id: str, why: str) -> str:
    """A line that has no answer: ``expired``, ``cancelled`` or ``lost``."""
    code, message = UNANSWERED[why]
    return _line(line_pk, custom_id, None, {"code": code, "message": message})


def _line(line_pk: int, custom_id: str, response: Any, error: Any) -> str:
    told = {"id": ref_of(line_pk), "custom_id": custom_id, "response": response, "error": error}
    return orjson.dumps(told).decode()
