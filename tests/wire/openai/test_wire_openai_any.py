"""Whatever a provider says, an adapter makes a completion of it or a HubError."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ai_providers.adapters import http, openai
from ai_providers.adapters.infomaniak import Infomaniak
from ai_providers.adapters.openai import OpenAI
from ai_providers.domain.gathering import MOST_TOKENS
from ai_providers.domain.wire import Access, Call
from megahub.kernel.errors import HubError, ProviderMalformed
from tests.ai_providers.any_body import PATIENT, values
from tests.wire.calls import CANARY, assert_no_key, spec_of

ACCESS = Access("openai", "own", "http://127.0.0.1", CANARY)
CHAT = Call("chat", "gpt-4o", {"messages": [{"role": "user", "content": "a"}]})
EMBEDDINGS = Call("embeddings", "text-embedding-3-small", {"input": "a"})

answers = values | st.fixed_dictionaries(
    {},
    optional={
        "choices": values | st.lists(st.fixed_dictionaries({}, optional={"message": values})),
        "data": values,
        "usage": values | st.fixed_dictionaries({"prompt_tokens": values}),
        "id": values,
    },
)
refusals = values | st.fixed_dictionaries(
    {
        "error": values
        | st.fixed_dictionaries(
            {},
            optional={
                "message": values,
                "code": values | st.sampled_from(["model_not_found", "context_length_exceeded"]),
                "param": values,
                "description": values,
                "errors": values
                | st.lists(st.fixed_dictionaries({}, optional={"description": values, "context": values})),
            },
        )
    }
)
headers = st.dictionaries(
    st.sampled_from(["retry-after", "retry-after-ms", "x-ratelimit-limit-requests"]),
    st.text(max_size=12) | st.integers().map(str) | st.floats().map(str),
)


def test_it_works() -> None:
    found = openai.from_wire(EMBEDDINGS, {"data": [{"embedding": [0.5]}]}, {"x-request-id": "r"}, ACCESS)

    assert (found.provider_id, found.usage.estimated) == ("r", True)


@pytest.mark.parametrize("message", [None, "Hello", 5])
def test_a_choice_without_a_message(message: Any) -> None:
    with pytest.raises(ProviderMalformed):
        openai.from_wire(CHAT, {"choices": [{"message": {}}, {"message": message}]}, {}, ACCESS)


def test_what_the_ledger_could_not_hold() -> None:
    usage = {"prompt_tokens": 1e300, "completion_tokens": 10**30}
    answer = {"id": 5, "choices": [{"message": {}}], "usage": usage}

    found = openai.from_wire(CHAT, answer, {"x-request-id": "r"}, ACCESS)

    assert (found.usage.prompt_tokens, found.usage.completion_tokens) == (MOST_TOKENS, MOST_TOKENS)
    assert found.provider_id == "r"


@settings(PATIENT, max_examples=300)
@given(call=st.sampled_from([CHAT, EMBEDDINGS]), answer=answers)
def test_any_answer(call: Call, answer: Any) -> None:
    try:
        found = openai.from_wire(call, answer, {}, ACCESS)
    except ProviderMalformed as error:
        assert error.outcome_unknown
        return
    assert found.body == answer
    assert 0 <= found.usage.total_tokens <= 2 * MOST_TOKENS
    assert found.provider_id is None or isinstance(found.provider_id, str)
    if call is CHAT:
        assert all(isinstance(choice["message"], dict) for choice in answer["choices"])


@settings(PATIENT, max_examples=300)
@given(
    adapter=st.sampled_from([OpenAI(), Infomaniak()]),
    status=st.integers(300, 599),
    told=refusals,
    names=headers,
    model=st.sampled_from(["gpt-4o", "mixtral", None]),
)
def test_any_refusal(
    adapter: OpenAI, status: int, told: Any, names: dict[str, str], model: str | None
) -> None:
    spec = spec_of(model) if model else None

    error = adapter.error(ACCESS, http.Answer(status, names, told), spec)

    assert isinstance(error, HubError)
    assert error.status in (400, 404, 429, 502, 503)
    assert error.retry_after is None or 0 <= error.retry_after <= 86_400
    assert error.param is None or isinstance(error.param, str)
    orjson.dumps(error.as_data())
    assert_no_key(error)


@settings(PATIENT, max_examples=200)
@given(names=headers)
def test_any_headers(names: dict[str, str]) -> None:
    openai.rate_limits(names)
    openai.retry_after(names)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("8.64s", 8.64),
        ("6m0s", 360.0),
        ("20ms", 0.02),
        ("1h2m3s", 3723.0),
        ("2d", 172_800.0),
        ("1s", 1.0),
        ("", None),
        (None, None),
        ("soon", None),
        ("7", None),
        ("in 5s", None),
    ],
)
def test_durations(text: str | None, seconds: float | None) -> None:
    assert openai.duration(text) == seconds


@pytest.mark.parametrize(
    "names", [{}, {"x-ratelimit-remaining-requests": "3"}, {"x-request-id": "r", "retry-after": "3"}]
)
def test_no_rate_limits(names: dict[str, str]) -> None:
    assert openai.rate_limits(names) is None


def test_rate_limits_that_are_no_numbers() -> None:
    found = openai.rate_limits({"x-ratelimit-limit-requests": "many", "x-ratelimit-limit-tokens": "-1"})

    assert found is not None
    assert (found.limit_requests, found.limit_tokens, found.reset_tokens_seconds) == (None, None, None)


def test_rate_limits_beyond_measure() -> None:
    """A header may be 8 KB long; Python refuses to read a number of that length."""
    names = {"x-ratelimit-limit-requests": "9" * 8000, "x-ratelimit-limit-tokens": "9" * 18}

    found = openai.rate_limits(names)

    assert found is not None
    assert (found.limit_requests, found.limit_tokens) == (None, 10**18 - 1)
