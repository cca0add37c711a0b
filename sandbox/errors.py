"""The one error of the sandbox and the bodies it is told in.

ApiError
 |- rendered by `openai_body` in OpenAI's shape, {"error": {message, type, param, code}}
 `- rendered by `infomaniak_body` in Infomaniak's envelope, {"result": "error", "error": {...}}

Texts are those that OpenAI was seen to answer. Infomaniak's words for 401, 404, 429 and 5xx are
inferred: only its 422 was ever recorded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

INVALID_REQUEST = "invalid_request_error"
KEYS_URL = "https://platform.openai.com/account/api-keys"

# code and description per status of an answer at an Infomaniak path.
INFOMANIAK_WORDS: Mapping[int, tuple[str, str]] = {
    401: ("not_authorized", "Authorization required"),
    404: ("object_not_found", "Object not found"),
    429: ("too_many_requests", "Too many requests"),
    500: ("internal_error", "An unexpected error has occurred"),
    503: ("service_unavailable", "Service unavailable"),
    529: ("service_unavailable", "Service overloaded"),
}

# Infomaniak names the rule that was broken; `validation_rule_string` is the one that was recorded.
_INFOMANIAK_RULES: Mapping[str, str] = {
    "missing_required_parameter": "required",
    "invalid_type": "type",
    "invalid_value": "in",
    "empty_array": "min",
    "integer_below_min_value": "min",
    "decimal_below_min_value": "min",
    "integer_above_max_value": "max",
    "decimal_above_max_value": "max",
}

_TYPE_WORDS: Mapping[type, str] = {
    str: "a string",
    int: "an integer",
    float: "a decimal",
    bool: "a boolean",
    list: "an array",
    dict: "an object",
    type(None): "null",
}


@dataclass(eq=False)
class ApiError(Exception):
    """An answer other than 2xx: the status, the four fields of OpenAI's body, extra headers."""

    status: int
    message: str
    type: str = INVALID_REQUEST
    param: str | None = None
    code: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


def openai_body(error: ApiError) -> dict[str, Any]:
    return {
        "error": {
            "message": error.message,
            "type": error.type,
            "param": error.param,
            "code": error.code,
        }
    }


def infomaniak_body(error: ApiError) -> tuple[int, dict[str, Any]]:
    """Infomaniak's status and body for an error; a 400 that names a field is a 422 there."""
    if error.status == 400 and error.param:
        return 422, {"result": "error", "error": _validation_failed(error)}
    code, description = INFOMANIAK_WORDS.get(error.status, ("bad_request", error.message))
    return error.status, {"result": "error", "error": {"code": code, "description": description}}


def _validation_failed(error: ApiError) -> dict[str, Any]:
    attribute = (error.param or "").replace("[", ".").replace("]", "")
    detail = {
        "code": f"validation_rule_{_INFOMANIAK_RULES.get(error.code or '', 'invalid')}",
        "description": error.message,
        "context": {"attribute": attribute},
    }
    return {
        "code": "validation_failed",
        "description": "Validation failed",
        "errors": [detail],
    }


# -- who is asking ------------------------------------------------------------------------------


def missing_key() -> ApiError:
    return ApiError(
        401,
        "You didn't provide an API key. You need to provide your API key in an Authorization "
        "header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY). "
        f"You can obtain an API key from {KEYS_URL}.",
    )


def invalid_key(key: str) -> ApiError:
    masked = key if len(key) <= 12 else f"{key[:8]}{'*' * (len(key) - 12)}{key[-4:]}"
    return ApiError(
        401,
        f"Incorrect API key provided: {masked}. You can find your API key at {KEYS_URL}.",
        code="invalid_api_key",
    )


# -- where it goes ------------------------------------------------------------------------------


def unknown_url(method: str, path: str) -> ApiError:
    return ApiError(404, f"Invalid URL ({method} {path})")


def wrong_method(method: str, path: str) -> ApiError:
    return ApiError(
        405,
        f"Not allowed to {method} on {path}. (HINT: Perhaps you meant to use a different HTTP method?)",
        code="method_not_supported",
    )


def unknown_model(model: str) -> ApiError:
    return ApiError(
        404,
        f"The model `{model}` does not exist or you do not have access to it.",
        code="model_not_found",
    )


def unknown_object(kind: str, object_id: str) -> ApiError:
    return ApiError(404, f"No such {kind} object: {object_id}", param="id")


# -- what it says -------------------------------------------------------------------------------


def bad_json() -> ApiError:
    return ApiError(
        400,
        "We could not parse the JSON body of your request. (HINT: This likely means you aren't "
        "using your HTTP library correctly. The OpenAI API expects a JSON payload, but what was "
        "sent was not valid JSON.)",
    )


def too_large(limit_bytes: int) -> ApiError:
    return ApiError(413, f"Request too large: the limit is {limit_bytes} bytes.")


def missing(param: str) -> ApiError:
    return ApiError(
        400,
        f"Missing required parameter: '{param}'.",
        param=param,
        code="missing_required_parameter",
    )


def invalid_type(param: str, expected: str, value: object) -> ApiError:
    got = _TYPE_WORDS.get(type(value), "something else")
    return ApiError(
        400,
        f"Invalid type for '{param}': expected {expected}, but got {got} instead.",
        param=param,
        code="invalid_type",
    )


def invalid_value(param: str, value: object, supported: Sequence[str]) -> ApiError:
    return ApiError(
        400,
        f"Invalid value: '{value}'. Supported values are: {_listed(supported)}.",
        param=param,
        code="invalid_value",
    )


def out_of_range(param: str, value: float, bound: float, *, below: bool, kind: str = "integer") -> ApiError:
    side, sign, code = (
        ("below minimum", ">=", "below_min") if below else ("above maximum", "<=", "above_max")
    )
    return ApiError(
        400,
        f"Invalid '{param}': {kind} {side} value. "
        f"Expected a value {sign} {bound}, but got {value} instead.",
        param=param,
        code=f"{kind}_{code}_value",
    )


def empty_array(param: str) -> ApiError:
    return ApiError(
        400,
        f"Invalid '{param}': empty array. Expected an array with minimum length 1, "
        "but got an empty array instead.",
        param=param,
        code="empty_array",
    )


def invalid_schema(param: str) -> ApiError:
    return ApiError(400, f"Invalid schema for '{param}'.", param=param, code="invalid_schema")


def unsupported_parameter(param: str) -> ApiError:
    return ApiError(
        400,
        f"Unsupported parameter: '{param}' is not supported with this model.",
        param=param,
        code="unsupported_parameter",
    )


def context_length(prompt_tokens: int) -> ApiError:
    return ApiError(
        400,
        "This model's maximum context length is 8192 tokens. However, your messages resulted in "
        f"{max(prompt_tokens, 8193)} tokens. Please reduce the length of the messages.",
        param="messages",
        code="context_length_exceeded",
    )


# -- how the provider is ------------------------------------------------------------------------


def rate_limited(model: str, wait_seconds: int) -> ApiError:
    return ApiError(
        429,
        f"Rate limit reached for {model} in organization org-sandbox on tokens per min (TPM): "
        f"Limit 30000, Used 30000, Requested 385. Please try again in {wait_seconds}s. "
        "Visit https://platform.openai.com/account/rate-limits to learn more.",
        type="tokens",
        code="rate_limit_exceeded",
        headers={"x-ratelimit-remaining-tokens": "0"},
    )


def quota_exceeded() -> ApiError:
    return ApiError(
        429,
        "You exceeded your current quota, please check your plan and billing details. For more "
        "information on this error, read the docs: "
        "https://platform.openai.com/docs/guides/error-codes/api-errors.",
        type="insufficient_quota",
        code="insufficient_quota",
    )


def unavailable() -> ApiError:
    return ApiError(
        503,
        "Our servers are currently overloaded. Please try again later.",
        type="server_error",
        code="server_is_overloaded",
    )


def overloaded() -> ApiError:
    return ApiError(
        529,
        "The model is currently overloaded with other requests. Please try again later.",
        type="overloaded_error",
        code="overloaded",
    )


def server_error() -> ApiError:
    return ApiError(
        500,
        "The server had an error while processing your request. Sorry about that!",
        type="server_error",
    )


def _listed(values: Sequence[str]) -> str:
    quoted = [f"'{value}'" for value in values]
    if len(quoted) < 3:
        return " and ".join(quoted)
    return f"{', '.join(quoted[:-1])}, and {quoted[-1]}"
