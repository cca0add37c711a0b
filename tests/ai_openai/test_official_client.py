"""OpenAI's own Python client against the hub, unchanged, with an API key of the hub."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest

from ai_core.models import AIJob
from tests import world
from tests.conftest import Api
from tests.world import Cast


@pytest.fixture
def client(api: Api, cast: Cast) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key=cast.alice.api_key(), base_url=f"{api.url}/v1", max_retries=0) as found:
        yield found


def test_it_works(client: openai.OpenAI, cast: Cast) -> None:
    answer = client.chat.completions.create(
        model="gpt-4o-mini", messages=[{"role": "user", "content": "Hello [tokens=12]"}]
    )

    assert answer.choices[0].message.content is not None
    assert answer.choices[0].message.content.startswith("[sandbox] gpt-4o-mini echoes: Hello")
    assert answer.usage is not None
    (job,) = AIJob.objects.of(cast.company.pk)
    assert job.api_key_id is not None
    (entry,) = world.ledger(job.pk)
    assert (entry.input_tokens, entry.output_tokens) == (
        answer.usage.prompt_tokens,
        answer.usage.completion_tokens,
    )


def test_a_stream_with_its_usage(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="gpt-4o-mini",
        messages=[{"role": "user", "content": "Hello"}],
        stream=True,
        stream_options={"include_usage": True},
    )

    chunks = list(stream)

    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text.startswith("[sandbox] gpt-4o-mini echoes: Hello")
    assert [chunk.usage is not None for chunk in chunks] == [False] * (len(chunks) - 1) + [True]


def test_tools(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="gpt-4o",
        messages=[{"role": "user", "content": "What is the weather? [tool]"}],
        tools=[
            {
                "type": "function",
                "function": {
                    "name": "weather",
                    "parameters": {
                        "type": "object",
                        "properties": {"city": {"type": "string"}},
                        "required": ["city"],
                    },
                },
            }
        ],
    )

    calls = answer.choices[0].message.tool_calls
    assert calls is not None
    assert calls[0].type == "function"
    assert calls[0].function.name == "weather"
    assert answer.choices[0].finish_reason == "tool_calls"


@pytest.mark.parametrize("encoding", ["float", "base64", None])
def test_embeddings(client: openai.OpenAI, encoding: str | None) -> None:
    options = {"encoding_format": encoding} if encoding else {}

    answer = client.embeddings.create(
        model="text-embedding-3-small",
        input=["one", "two"],
        dimensions=8,
        **options,  # type: ignore[arg-type]
    )

    assert [row.index for row in answer.data] == [0, 1]
    if encoding != "base64":
        assert [len(row.embedding) for row in answer.data] == [8, 8]
    assert answer.usage.prompt_tokens > 0


def test_models(client: openai.OpenAI) -> None:
    models = {model.id: model for model in client.models.list()}

    assert "gpt-4o-mini" in models
    assert "mistralai/Mistral-Small-4-119B-2603" in models
    assert "gpt-3.5-turbo" not in models
    assert client.models.retrieve("gpt-4o-mini") == models["gpt-4o-mini"]
    named = client.models.retrieve("mistralai/Mistral-Small-4-119B-2603")
    assert named.owned_by == "infomaniak"


def test_errors_are_the_clients_own(client: openai.OpenAI, api: Api) -> None:
    hello: list[openai.types.chat.ChatCompletionMessageParam] = [{"role": "user", "content": "Hello"}]
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model="o3", messages=hello, temperature=0.2)
    assert (refused.value.code, refused.value.param) == ("unsupported_parameter", "temperature")
    with pytest.raises(openai.NotFoundError) as absent:
        client.models.retrieve("gpt-17")
    assert absent.value.code == "model_not_found"
    limited: list[openai.types.chat.ChatCompletionMessageParam] = [
        {"role": "user", "content": "Hello [sandbox: status=429, retry_after=3]"}
    ]
    with pytest.raises(openai.RateLimitError) as later:
        client.chat.completions.create(model="gpt-4o-mini", messages=limited)
    assert later.value.response.headers["retry-after"] == "3"
    stranger = client.with_options(api_key="mh_nonsense")
    with pytest.raises(openai.AuthenticationError) as unknown:
        stranger.models.list()
    assert unknown.value.code == "invalid_api_key"


def test_an_error_in_mid_stream_reaches_the_client(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="gpt-4o-mini",
        messages=[{"role": "user", "content": "Hello [sandbox: cut=3]"}],
        stream=True,
    )

    with pytest.raises(openai.APIError, match="broke the connection"):
        list(stream)
