"""In whose words an error is said, path by path."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine

from megahub.kernel import errors, surfaces
from megahub.kernel.errors import HubError
from megahub.kernel.text import Text

LIMITED = errors.RateLimited(retry_after=1.2, provider="openai")
WRONG = errors.ValidationFailed(
    field_errors={"n": [Text("Must be at least {limit}.", limit=1)], "user": ["Expected string."]},
    param="n",
    suggestions=["1", "2"],
)


def french(template: str) -> str:
    return {
        "Some fields are not valid.": "Certains champs ne sont pas valides.",
        "Must be at least {limit}.": "Au moins {limit}.",
    }.get(template, template)


def test_it_works() -> None:
    assert surfaces.megahub(LIMITED, str, "r") == {
        "detail": "Rate limit reached; try again later.",
        "error": "Rate limit reached; try again later.",
        "error_code": "RATE_LIMITED",
        "provider": "openai",
    }


@pytest.mark.parametrize(
    ("path", "surface"),
    [
        ("/ai/openai/chat/", surfaces.megahub),
        ("/ai/jobs/", surfaces.megahub),
        ("/ai/batch-analysis/", surfaces.megahub),
        ("/auth/token/", surfaces.megahub),
        ("/", surfaces.megahub),
        ("/v1/chat/completions", surfaces.openai),
        ("/v1/nothing", surfaces.openai),
        ("/v10/models", surfaces.megahub),
        ("/api/batch/", surfaces.batch),
        ("/api/batch/7/results/", surfaces.batch),
        ("/api/ai/models", surfaces.envelope),
        ("/api/gateway/", surfaces.envelope),
    ],
)
def test_paths(path: str, surface: surfaces.Surface) -> None:
    assert surfaces.for_path(path) is surface


class TestMegahub:
    def test_fields(self) -> None:
        assert surfaces.megahub(WRONG, str, "r") == {
            "detail": "Some fields are not valid.",
            "error": "Some fields are not valid.",
            "error_code": "VALIDATION_ERROR",
            "field_errors": {"n": ["Must be at least 1."], "user": ["Expected string."]},
            "suggestions": ["1", "2"],
        }

    def test_in_french(self) -> None:
        """Sentences follow the language, codes and names never."""
        assert surfaces.megahub(WRONG, french, "r") == {
            "detail": "Certains champs ne sont pas valides.",
            "error": "Certains champs ne sont pas valides.",
            "error_code": "VALIDATION_ERROR",
            "field_errors": {"n": ["Au moins 1."], "user": ["Expected string."]},
            "suggestions": ["1", "2"],
        }

    def test_words_are_not_told(self) -> None:
        body = surfaces.megahub(errors.MalformedBody(words={"reason": "x"}), str, "r")

        assert sorted(body) == ["detail", "error", "error_code"]


class TestOpenAI:
    @pytest.mark.parametrize(
        ("error", "kind", "code"),
        [
            (errors.NotAuthenticated(), "authentication_error", None),
            (errors.InvalidToken(), "authentication_error", "invalid_api_key"),
            (errors.Forbidden(), "permission_error", "permission_denied"),
            (errors.ModelNotFound(model="x"), "invalid_request_error", "model_not_found"),
            (errors.InvalidParameterForModel(), "invalid_request_error", "unsupported_parameter"),
            (errors.UnknownParameter(), "invalid_request_error", "unknown_parameter"),
            (errors.ValidationFailed(), "invalid_request_error", "invalid_value"),
            (errors.MalformedBody(), "invalid_request_error", None),
            (errors.ContextLengthExceeded(), "invalid_request_error", "context_length_exceeded"),
            (errors.RateLimited(), "rate_limit_error", "rate_limit_exceeded"),
            (errors.CostLimitExceeded(), "insufficient_quota", "insufficient_quota"),
            (errors.QuotaExceeded(), "insufficient_quota", "insufficient_quota"),
            (errors.ReasoningQuotaExceeded(), "insufficient_quota", "insufficient_quota"),
            (errors.ServerError(), "server_error", "server_error"),
            (errors.ProviderTimeout(), "server_error", "provider_timeout"),
            (errors.Busy(), "server_error", "busy"),
        ],
        ids=lambda value: type(value).__name__ if isinstance(value, HubError) else None,
    )
    def test_types_and_codes(self, error: HubError, kind: str, code: str | None) -> None:
        assert surfaces.openai(error, str, "r") == {
            "error": {"message": str(error), "type": kind, "param": None, "code": code}
        }

    def test_fields_are_told_in_the_message(self) -> None:
        """Its clients read nothing else."""
        assert surfaces.openai(WRONG, french, "r") == {
            "error": {
                "message": "Certains champs ne sont pas valides. n: Au moins 1. user: Expected string.",
                "type": "invalid_request_error",
                "param": "n",
                "code": "invalid_value",
            }
        }


def test_envelope() -> None:
    with time_machine.travel(datetime(2026, 11, 20, 10, 30, tzinfo=UTC), tick=False):
        body = surfaces.envelope(WRONG, str, "req_1")

    assert body == {
        "error": {
            "code": "VALIDATION_ERROR",
            "message": "Some fields are not valid.",
            "details": {"field_errors": {"n": ["Must be at least 1."], "user": ["Expected string."]}},
            "suggestion": "1; 2",
        },
        "request_id": "req_1",
        "timestamp": "2026-11-20T10:30:00Z",
    }


def test_batch() -> None:
    assert surfaces.batch(LIMITED, str, "r") == {
        "success": False,
        **surfaces.megahub(LIMITED, str, "r"),
    }


@pytest.mark.parametrize("error", [LIMITED, WRONG])
def test_nothing_is_changed_by_telling(error: HubError) -> None:
    before = error.as_data()

    for surface in (surfaces.megahub, surfaces.openai, surfaces.envelope, surfaces.batch):
        surface(error, french, "r")

    assert error.as_data() == before


class TestHeaders:
    @pytest.mark.parametrize(
        ("seconds", "told"),
        [
            (0.0, "1"),
            (0.2, "1"),
            (1.0, "1"),
            (1.0001, "2"),
            (1.5, "2"),
            (2.0, "2"),
            # Never earlier than the provider said, by however little.
            (2.0001, "3"),
            (2.001, "3"),
            (59.9999, "60"),
            (39_600.0, "39600"),
            (86_400.0, "86400"),
        ],
    )
    def test_retry_after_in_whole_seconds(self, seconds: float, told: str) -> None:
        assert surfaces.headers(errors.RateLimited(retry_after=seconds)) == {"Retry-After": told}

    @pytest.mark.parametrize(
        ("error", "told"),
        [
            (errors.RateLimited(), {}),
            (errors.ModelNotFound(), {}),
            (errors.NotAuthenticated(), {"WWW-Authenticate": 'Bearer realm="megahub"'}),
            (errors.TokenExpired(), {"WWW-Authenticate": 'Bearer realm="megahub"'}),
        ],
    )
    def test_others(self, error: HubError, told: dict[str, Any]) -> None:
        assert surfaces.headers(error) == told
