"""The errors that an operation can answer, for the OpenAPI document: in the words of its surface.

Nothing is written by hand: which errors there are follows from what an operation takes (``of``), what
they look like from the error tree and the surfaces themselves.
"""

from __future__ import annotations

from collections.abc import Iterable
from string import Formatter
from typing import Any

from megahub.kernel import errors, surfaces
from megahub.kernel.errors import HubError

JSON = "application/json"
KEY_HEADER = "Idempotency-Key"
WORDS: dict[str, Any] = {"type": "string"}
NAMES: dict[str, Any] = {"type": "array", "items": WORDS}

#: What a call to a provider may end with.
PROVIDER = (
    errors.RateLimited,
    errors.ProviderError,
    errors.ProviderMalformed,
    errors.ProviderUnavailable,
    errors.ProviderTimeout,
)
#: What running a model adds to it.
SPENDING = (
    errors.ModelNotFound,
    errors.InvalidParameterForModel,
    errors.ContextLengthExceeded,
    errors.NoApiKey,
    errors.InvalidApiKey,
    errors.ModelBlocked,
    errors.CostLimitExceeded,
    errors.O3BudgetExceeded,
    errors.QuotaExceeded,
    errors.ReasoningQuotaExceeded,
    errors.Busy,
)

#: What fills the messages of the examples.
SAMPLES: dict[str, Any] = {
    "invalid_params": ["temprature"],
    "model": "gpt-4o-mini",
    "model_name": "gpt-4o-mini",
    "provider": "openai",
    "job_type": "chat_competion",
    "reason": "unexpected end of data at line 1 column 12",
    "context_window": 128000,
    "requested_tokens": 150000,
    "required_scope": "jobs:write",
    "brand_id": "42",
    "limit_bytes": 16777216,
    "current_status": "completed",
    "fields": ["input_data"],
    "endpoint": "/v1/embeddings",
    "set_up_at": "https://hub.example.com/accounts/2fa/totp/activate/",
}

SURFACES: dict[surfaces.Surface, tuple[str, dict[str, Any]]] = {
    surfaces.megahub: (
        "Error",
        {
            "type": "object",
            "description": "`error_code` never changes; `detail` and `error` say the same to people.",
            "required": ["detail", "error", "error_code"],
            "properties": {
                "detail": WORDS,
                "error": WORDS,
                "error_code": WORDS,
                "field_errors": {"type": "object", "additionalProperties": NAMES},
                "suggestions": NAMES,
            },
            "additionalProperties": True,
        },
    ),
    surfaces.openai: (
        "OpenAIError",
        {
            "type": "object",
            "description": "OpenAI's error object.",
            "required": ["error"],
            "properties": {
                "error": {
                    "type": "object",
                    "required": ["message", "type", "param", "code"],
                    "properties": {
                        "message": WORDS,
                        "type": WORDS,
                        "param": {"type": "string", "nullable": True},
                        "code": {"type": "string", "nullable": True},
                    },
                }
            },
        },
    ),
    surfaces.batch: (
        "BatchError",
        {
            "type": "object",
            "required": ["success", "detail", "error", "error_code"],
            "properties": {
                "success": {"type": "boolean", "enum": [False]},
                "detail": WORDS,
                "error": WORDS,
                "error_code": WORDS,
                "field_errors": {"type": "object", "additionalProperties": NAMES},
                "suggestions": NAMES,
            },
            "additionalProperties": True,
        },
    ),
    surfaces.envelope: (
        "EnvelopeError",
        {
            "type": "object",
            "required": ["error", "request_id", "timestamp"],
            "properties": {
                "error": {
                    "type": "object",
                    "required": ["code", "message", "details", "suggestion"],
                    "properties": {
                        "code": WORDS,
                        "message": WORDS,
                        "details": {"type": "object", "additionalProperties": True},
                        "suggestion": {"type": "string", "nullable": True},
                    },
                },
                "request_id": WORDS,
                "timestamp": {"type": "string", "format": "date-time"},
            },
        },
    ),
}


def named(*kinds: type[HubError]) -> dict[str, list[str]]:
    """``extensions=`` of an operation: the errors that are its own, beside those that ``of`` finds."""
    return {"x-errors": [kind.__name__ for kind in kinds]}


def of(path: str, details: dict[str, Any], *, fast: bool) -> list[type[HubError]]:
    """The errors that an operation can answer, from what it takes."""
    found: list[type[HubError]] = [errors.ValidationFailed, errors.DatabaseUnavailable]
    parameters = {(one.get("in"), one.get("name")) for one in details.get("parameters", ())}
    if {} in details.get("security", [{}]):
        found += [errors.InvalidCredentials, errors.InvalidToken, errors.RateLimited]
    else:
        found += [errors.NotAuthenticated, errors.InvalidToken, errors.TokenExpired, errors.TokenRevoked]
        found += [errors.Forbidden, errors.ScopeMissing, errors.BrandNotFound]
    if "{" in path:
        found.append(errors.NotFound)
    if ("query", "page") in parameters:
        found.append(errors.NotFound)
    if "requestBody" in details or any(where == "query" for where, _ in parameters):
        found.append(errors.UnknownParameter)
    if "requestBody" in details:
        found += [errors.MalformedBody, errors.BodyTooLarge]
    if not fast:
        found += [errors.NotAcceptable]
        found += [errors.UnsupportedMediaType] if "requestBody" in details else []
    if ("header", KEY_HEADER) in parameters:
        found += [errors.IdempotencyInProgress, errors.IdempotencyKeyReused]
    return found + [errors.type_registry[name] for name in details.get("x-errors", ())]


def answers(path: str, kinds: Iterable[type[HubError]]) -> dict[str, Any]:
    """The kinds as OpenAPI responses by status, each with its example."""
    name, _ = SURFACES[surfaces.for_path(path)]
    found: dict[str, Any] = {}
    for kind in sorted(set(kinds), key=lambda kind: (kind.status, kind.__name__)):
        answer = found.setdefault(
            str(kind.status),
            {
                "description": "",
                "content": {JSON: {"schema": {"$ref": f"#/components/schemas/{name}"}, "examples": {}}},
            },
        )
        answer["content"][JSON]["examples"][kind.code] = {
            "$ref": f"#/components/examples/{name}.{kind.code}"
        }
    for answer in found.values():
        answer["description"] = ", ".join(f"`{code}`" for code in answer["content"][JSON]["examples"]) + "."
    return found


def content(path: str) -> dict[str, Any]:
    """The body of an error of that path."""
    name, _ = SURFACES[surfaces.for_path(path)]
    return {JSON: {"schema": {"$ref": f"#/components/schemas/{name}"}}}


def components(paths: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The schemas and the examples that ``answers`` refers to, of the surfaces that the paths have."""
    used = {surfaces.for_path(path) for path in paths}
    schemas = {name: schema for surface, (name, schema) in SURFACES.items() if surface in used}
    examples = {
        f"{name}.{kind.code}": {"summary": kind.code, "value": _told(surface, kind)}
        for surface, (name, _) in SURFACES.items()
        if surface in used
        for kind in errors.type_registry.values()
    }
    return {"schemas": schemas, "examples": examples}


def _told(surface: surfaces.Surface, kind: type[HubError]) -> dict[str, Any]:
    names = {name for _, name, _, _ in Formatter().parse(kind.message) if name}
    facts = {name: SAMPLES[name] for name in names if name in SAMPLES}
    error = kind(**facts)
    if kind is errors.ValidationFailed:
        error = kind(field_errors={"page_size": ["A whole number from 1 to 100."]}, param="page_size")
    body = surface(error, str, "req_5f0c954e4f4e9c2a")
    return {**body, "timestamp": "2026-01-01T00:00:00Z"} if "timestamp" in body else body
