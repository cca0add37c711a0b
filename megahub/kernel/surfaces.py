"""In whose words an error is said: ``HubError`` -> body, pure.

Each surface is a function ``(error, say, request_id) -> dict``; ``say`` translates a message template
(``gettext`` of the request's language, or the identity). ``for_path`` chooses the surface.
Sources: ``reference/megahub-shapes.md`` (megahub), ``reference/advanced-ai-api.md`` (envelope),
``provider-facts.md`` 1.2 (openai), ``reference/batch-guide.md`` (batch).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from megahub.kernel import clock
from megahub.kernel.errors import HubError
from megahub.kernel.text import said

Say = Callable[[str], str]
Surface = Callable[[HubError, Say, str], dict[str, Any]]

#: OpenAI's ``type`` where it is not ``invalid_request_error``, by our code or by status.
OPENAI_TYPES = {
    "COST_LIMIT_EXCEEDED": "insufficient_quota",
    "O3_BUDGET_EXCEEDED": "insufficient_quota",
    "QUOTA_EXCEEDED": "insufficient_quota",
    "REASONING_QUOTA_EXCEEDED": "insufficient_quota",
}
OPENAI_TYPES_BY_STATUS = {
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
}

#: OpenAI's ``code`` where it is not our own code in lower case (provider-facts.md 1.2).
OPENAI_CODES = {
    "BAD_REQUEST": None,
    "MALFORMED_BODY": None,
    "INVALID_PARAMETER_FOR_MODEL": "unsupported_parameter",
    "VALIDATION_ERROR": "invalid_value",
    "INVALID_TOKEN": "invalid_api_key",  # nosec B105
    "NOT_AUTHENTICATED": None,
    "COST_LIMIT_EXCEEDED": "insufficient_quota",
    "O3_BUDGET_EXCEEDED": "insufficient_quota",
    "QUOTA_EXCEEDED": "insufficient_quota",
    "REASONING_QUOTA_EXCEEDED": "insufficient_quota",
    "RATE_LIMITED": "rate_limit_exceeded",
    "INTERNAL_ERROR": "server_error",
}


def field_errors(error: HubError, say: Say) -> dict[str, list[str]]:
    """The messages by field, translated where they are ``Text``."""
    return {
        field: [said(text, say) for text in texts] for field, texts in (error.field_errors or {}).items()
    }


def suggestions(error: HubError, say: Say) -> list[str]:
    """What the error suggests; sentences (``Text``) are translated, names are not."""
    found = error.suggestions or []
    return [said(text, say) for text in found]


def for_path(path: str) -> Surface:
    """The surface that a path speaks."""
    if path.startswith("/v1/"):
        return openai
    if path.startswith("/api/batch"):
        return batch
    if path.startswith("/api/"):
        return envelope
    return megahub


def megahub(error: HubError, say: Say, request_id: str) -> dict[str, Any]:
    """``{detail, error, error_code, …facts}``; older clients read ``error``, so both carry the text."""
    text = error.text(say(error.message))
    body: dict[str, Any] = {"detail": text, "error": text, "error_code": error.code, **error.facts}
    if error.field_errors:
        body["field_errors"] = field_errors(error, say)
    if error.suggestions is not None:
        body["suggestions"] = suggestions(error, say)
    return body


def envelope(error: HubError, say: Say, request_id: str) -> dict[str, Any]:
    """``{error: {code, message, details, suggestion}, request_id, timestamp}``."""
    details: dict[str, Any] = dict(error.facts)
    if error.field_errors:
        details["field_errors"] = field_errors(error, say)
    suggestion = "; ".join(suggestions(error, say)) or None
    return {
        "error": {
            "code": error.code,
            "message": error.text(say(error.message)),
            "details": details,
            "suggestion": suggestion,
        },
        "request_id": request_id,
        "timestamp": clock.iso(clock.now()),
    }


def openai(error: HubError, say: Say, request_id: str) -> dict[str, Any]:
    """``{error: {message, type, param, code}}``; field errors are told in the message."""
    message = error.text(say(error.message))
    if error.field_errors:
        message += " " + " ".join(
            f"{field}: {' '.join(texts)}" for field, texts in field_errors(error, say).items()
        )
    if error.status >= 500:
        kind = "server_error"
    else:
        by_status = OPENAI_TYPES_BY_STATUS.get(error.status, "invalid_request_error")
        kind = OPENAI_TYPES.get(error.code, by_status)
    code = OPENAI_CODES.get(error.code, error.code.lower())
    return {"error": {"message": message, "type": kind, "param": error.param, "code": code}}


def batch(error: HubError, say: Say, request_id: str) -> dict[str, Any]:
    """``{success: false, error, …}`` as the batch guide's clients read it."""
    told = megahub(error, say, request_id)
    if error.code == "VALIDATION_ERROR" and error.param and "field_errors" not in told:
        told["field_errors"] = {error.param: [told["error"]]}
    return {"success": False, **told}


def headers(error: HubError) -> dict[str, str]:
    """Headers that belong to the error: its own, ``Retry-After`` (seconds, at least 1), the challenge."""
    found: dict[str, str] = {**error.headers}
    if error.retry_after is not None:
        found["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    if error.status == 401:
        found["WWW-Authenticate"] = 'Bearer realm="megahub"'
    return found
