"""OpenAI's error bodies (provider-facts.md 1.2) as the hub's errors: by status and code."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine

from megahub.kernel.errors import (
    ContextLengthExceeded,
    HubError,
    InvalidApiKey,
    ModelNotFound,
    ProviderError,
    ProviderRefused,
    ProviderUnavailable,
    RateLimited,
)
from tests.wire import calls
from tests.wire.calls import CANARY
from tests.wire.replay import Provider, whole

INVALID = "invalid_request_error"
#: (message, param, code), all of them 400 and invalid_request_error.
REFUSED = [
    (
        "Unsupported parameter: 'max_tokens' is not supported with this model."
        " Use 'max_completion_tokens' instead.",
        "max_tokens",
        "unsupported_parameter",
    ),
    (
        "Unsupported value: 'temperature' does not support 0.2 with this model."
        " Only the default (1) value is supported.",
        "temperature",
        "unsupported_value",
    ),
    ("Unrecognized request argument supplied: reasoning_effort", None, None),
    (
        "Function tools with reasoning_effort are not supported for gpt-5.6-luna in /v1/chat/completions."
        " To use function tools, use /v1/responses or set reasoning_effort to 'none'.",
        "reasoning_effort",
        None,
    ),
    (
        "Unsupported value: 'messages[0].role' does not support 'system' with this model.",
        "messages[0].role",
        "unsupported_value",
    ),
    (
        "Invalid 'temperature': decimal below minimum value. Expected a value >= 0, but got -1 instead.",
        "temperature",
        "decimal_below_min_value",
    ),
    ("Web search options not supported with this model.", "web_search_options", None),
    (
        "max_tokens is too large: 8192. This model supports at most 4096 completion tokens,"
        " whereas you provided 8192.",
        "max_tokens",
        None,
    ),
    (
        "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model.",
        "response_format",
        None,
    ),
]


def told(message: str, code: str | None, param: str | None = None, kind: str = INVALID) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


async def refused(
    provider: Provider, body: Any, status: int, headers: dict[str, str] | None = None
) -> HubError:
    """What a call raises that is answered with this."""
    provider.answer(whole(body, status, headers))
    return await calls.failure(calls.cleaned("gpt-4"), calls.access_to(provider))


@pytest.mark.asyncio
async def test_it_works(provider: Provider) -> None:
    message, param, code = REFUSED[0]
    error = await refused(provider, told(message, code, param), 400)

    assert type(error) is ProviderRefused
    assert (error.status, error.code, error.param) == (400, "PROVIDER_REFUSED", "max_tokens")
    assert str(error) == f"openai refused the request: {message}"
    assert (error.retryable, error.outcome_unknown, error.retry_after) == (False, False, None)


@pytest.mark.asyncio
@pytest.mark.parametrize(("message", "param", "code"), REFUSED)
async def test_refused(provider: Provider, message: str, param: str | None, code: str | None) -> None:
    error = await refused(provider, told(message, code, param), 400)

    assert type(error) is ProviderRefused
    assert error.param == param
    assert error.facts == {"provider": "openai"}
    assert error.words == {"reason": message}


@pytest.mark.asyncio
async def test_unknown_model(provider: Provider) -> None:
    message = "The model `gpt-5.2-proo` does not exist or you do not have access to it."
    error = await refused(provider, told(message, "model_not_found"), 404)

    assert type(error) is ModelNotFound
    assert error.facts == {"model": "gpt-4"}
    assert error.param == "model"


@pytest.mark.asyncio
async def test_retired_model(provider: Provider) -> None:
    message = "The model `X` has been deprecated, learn more here: https://platform.openai.com/docs"
    error = await refused(provider, told(message, "model_not_found"), 404)

    assert type(error) is ModelNotFound


@pytest.mark.asyncio
async def test_unknown_path(provider: Provider) -> None:
    """A 404 that is not about the model is not told as one."""
    error = await refused(provider, told("Invalid URL (POST /v2/chat)", None), 404)

    assert type(error) is ProviderRefused
    assert error.words == {"reason": "Invalid URL (POST /v2/chat)"}


@pytest.mark.asyncio
async def test_context_length(provider: Provider) -> None:
    message = (
        "This model's maximum context length is 8192 tokens. However, you requested 8256 tokens"
        " (64 in the messages, 8192 in the completion). Please reduce the length."
    )
    error = await refused(provider, told(message, "context_length_exceeded", "messages"), 400)

    assert type(error) is ContextLengthExceeded
    assert error.param == "messages"
    assert str(error) == "The request is longer than the model's context of 8192 tokens."


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("status", "code"), [(401, "invalid_api_key"), (401, None), (403, "account_deactivated")]
)
async def test_key_refused(provider: Provider, status: int, code: str | None) -> None:
    """The provider's sentence is not repeated: it holds part of the key."""
    message = f"Incorrect API key provided: {CANARY[:8]}*****{CANARY[-4:]}."
    error = await refused(provider, told(message, code), status)

    assert type(error) is InvalidApiKey
    assert str(error) == "openai refused the configured API key."
    assert CANARY[-4:] not in str(error)


@pytest.mark.asyncio
async def test_an_echoed_key_is_not_repeated(provider: Provider) -> None:
    """A gateway before the provider may quote the headers that it received."""
    message = f"Bad request. Headers were Authorization: Bearer {CANARY}"
    error = await refused(provider, told(message, None), 400)

    assert type(error) is ProviderRefused
    assert error.words == {"reason": "Bad request. Headers were Authorization: Bearer [redacted]"}


@pytest.mark.asyncio
async def test_quota(provider: Provider) -> None:
    message = "You exceeded your current quota, please check your plan and billing details."
    error = await refused(provider, told(message, "insufficient_quota", kind="insufficient_quota"), 429)

    assert type(error) is RateLimited
    assert (error.status, error.retry_after, error.facts) == (429, None, {"provider": "openai"})


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "20"}, 20.0),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": "1.5"}, 1.5),
        ({"retry-after-ms": "350"}, 0.35),
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "2"}, 2.0),
        ({"retry-after": "Fri, 20 Nov 2026 10:01:30 GMT"}, 90.0),
        ({"retry-after": "Fri, 20 Nov 2026 10:01:30"}, 90.0),
        ({"retry-after": "Fri, 20 Nov 2026 10:01:30 -0000"}, 90.0),
        ({"retry-after": "Fri, 20 Nov 2026 11:01:30 +0100"}, 90.0),
        ({"retry-after": "Fri, 20 Nov 2026 09:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "9" * 400}, 86_400.0),
        ({"retry-after-ms": "9" * 400}, 86_400.0),
        ({"retry-after": "Fri, 20 Nov 2099 10:00:00 GMT"}, 86_400.0),
    ],
)
async def test_retry_after(provider: Provider, headers: dict[str, str], seconds: float | None) -> None:
    """In seconds, whatever the header's form; a day at most."""
    with time_machine.travel(datetime(2026, 11, 20, 10, 0, tzinfo=UTC), tick=False):
        error = await refused(provider, told("Rate limit reached", "rate_limit_exceeded"), 429, headers)

    assert type(error) is RateLimited
    assert error.retry_after == seconds


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (408, ProviderError),
        (409, ProviderError),
        (425, ProviderError),
        (500, ProviderError),
        (502, ProviderError),
        (503, ProviderUnavailable),
        (504, ProviderError),
        (520, ProviderError),
        (529, ProviderError),
        (400, ProviderRefused),
        (403, ProviderRefused),
        (413, ProviderRefused),
        (422, ProviderRefused),
        (451, ProviderRefused),
    ],
)
@pytest.mark.parametrize(
    "body",
    [b"", b"<html>Bad gateway</html>", b"[]", b'"no"', b'{"error": "no"}', b'{"error": {"code": 7}}'],
)
async def test_status_without_words(
    provider: Provider, status: int, kind: type[HubError], body: bytes
) -> None:
    error = await refused(provider, body, status, {"Retry-After": "7"})

    assert type(error) is kind
    assert error.retryable is (kind is not ProviderRefused)
    assert error.retry_after == (7.0 if error.retryable else None)
    if kind is ProviderRefused:
        assert error.words == {"reason": f"status {status}"}


@pytest.mark.asyncio
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirect_is_not_followed(provider: Provider, status: int) -> None:
    """A provider that moves is an administrator's business; the key goes nowhere else."""
    error = await refused(provider, b"", status, {"Location": f"{provider.url}/elsewhere"})

    assert type(error) is ProviderError
    assert [request.path for request in provider.requests] == ["/chat/completions"]


@pytest.mark.asyncio
async def test_long_reason_is_cut(provider: Provider) -> None:
    error = await refused(provider, told("x" * 10_000, None), 400)

    assert error.words == {"reason": "x" * 500}


@pytest.mark.asyncio
async def test_endless_reason_is_not_read(provider: Provider) -> None:
    """Of a body beyond any error's size the status is all that counts."""
    error = await refused(provider, told("x" * 10_000_000, "model_not_found"), 404)

    assert type(error) is ProviderRefused
    assert error.words == {"reason": "status 404"}


@pytest.mark.asyncio
async def test_reason_in_two_pieces(provider: Provider) -> None:
    """The code decides, however the network cuts the body."""
    raw = whole(told("No such model", "model_not_found"), 404)
    provider.answer(raw[:-40], 0.05, raw[-40:])

    error = await calls.failure(calls.cleaned("gpt-4"), calls.access_to(provider))

    assert type(error) is ModelNotFound


@pytest.mark.asyncio
async def test_reason_that_never_ends(provider: Provider) -> None:
    """The status alone is enough to know that nothing was done."""
    raw = whole(told("Slow down", "rate_limit_exceeded"), 429, {"retry-after": "3"})
    provider.answer(raw[:-5], 5.0)
    access = calls.access_to(provider, between_bytes_seconds=0.05)

    error = await calls.failure(calls.cleaned("gpt-4"), access)

    assert type(error) is RateLimited
    assert error.retry_after == 3.0


@pytest.mark.asyncio
async def test_nul_in_a_reason(provider: Provider) -> None:
    """Job errors are stored as JSON, where PostgreSQL takes no U+0000."""
    error = await refused(provider, told("bad \0 byte", None), 400)

    assert error.words == {"reason": "bad \N{REPLACEMENT CHARACTER} byte"}


@pytest.mark.asyncio
@pytest.mark.parametrize("param", [3, ["x"], {"a": 1}, False])
async def test_param_of_a_wrong_type(provider: Provider, param: Any) -> None:
    error = await refused(provider, {"error": {"message": "no", "param": param}}, 400)

    assert error.param is None
