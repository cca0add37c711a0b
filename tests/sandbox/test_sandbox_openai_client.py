"""The official client against the sandbox, and the shapes of OpenAI's specification (2026-08)."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
import pytest
import pytest_asyncio
from openai import AsyncOpenAI, OpenAI

HI: Any = [{"role": "user", "content": "Hi [tokens=12]"}]
# The properties of the specification; those it requires are in REQUIRED.
COMPLETION = {
    "id",
    "choices",
    "created",
    "model",
    "metadata",
    "service_tier",
    "system_fingerprint",
    "object",
    "usage",
    "moderation",
}
REQUIRED = {"choices", "created", "id", "model", "object"}
MESSAGE = {
    "content",
    "refusal",
    "tool_calls",
    "annotations",
    "role",
    "function_call",
    "audio",
}
USAGE = {
    "completion_tokens",
    "prompt_tokens",
    "total_tokens",
    "completion_tokens_details",
    "prompt_tokens_details",
}


@pytest.fixture
def client(provider: Any) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{provider.url}/v1", api_key="sk-test", max_retries=0) as client:
        yield client


@pytest_asyncio.fixture
async def async_client(provider: Any) -> AsyncIterator[AsyncOpenAI]:
    base_url = f"{provider.url}/v1"
    async with AsyncOpenAI(base_url=base_url, api_key="sk-test", max_retries=0) as client:
        yield client


def test_chat(client: Any) -> None:
    completion = client.chat.completions.create(model="gpt-4o", messages=HI)
    assert completion.choices[0].message.content.startswith("[sandbox] gpt-4o echoes: Hi. ")
    assert completion.usage.completion_tokens == 12


@pytest.mark.asyncio
async def test_a_stream_with_usage(async_client: Any) -> None:
    stream = await async_client.chat.completions.create(
        model="gpt-4o", messages=HI, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.usage is None for chunk in chunks] == [True] * 14 + [False]
    assert chunks[-1].choices == []
    assert chunks[-1].usage.total_tokens == 3 + 4 + 12
    assert chunks[-2].choices[0].finish_reason == "stop"


def test_a_parsed_answer(client: Any) -> None:
    schema = {"type": "object", "properties": {"a": {"const": 1}}, "required": ["a"]}
    completion = client.chat.completions.create(
        model="gpt-4o",
        messages=HI,
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": schema}},
    )
    assert json.loads(completion.choices[0].message.content) == {"a": 1}


def test_embeddings(client: Any) -> None:
    # The client asks for base64 and decodes it.
    packed = client.embeddings.create(model="text-embedding-3-small", input=["a", "b"])
    floats = client.embeddings.create(
        model="text-embedding-3-small", input=["a", "b"], encoding_format="float"
    )
    assert [len(item.embedding) for item in packed.data] == [1536, 1536]
    assert [item.embedding for item in packed.data] == [item.embedding for item in floats.data]


def test_the_other_surfaces(client: Any) -> None:
    assert client.responses.create(model="gpt-4o", input="Hi").output_text.startswith("[sandbox]")
    assert client.completions.create(model="m", prompt="Hi").choices[0].finish_reason == "length"
    assert client.moderations.create(input="Hi").results[0].flagged is False
    assert client.models.retrieve("gpt-4o").id == "gpt-4o"
    assert len(list(client.models.list())) == 27


def test_a_batch_from_upload_to_deletion(client: Any) -> None:
    row = {
        "custom_id": "a",
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {"model": "gpt-4o", "messages": HI},
    }
    content = json.dumps(row).encode()
    uploaded = client.files.create(file=("in.jsonl", content), purpose="batch")
    batch = client.batches.create(
        input_file_id=uploaded.id,
        endpoint="/v1/chat/completions",
        completion_window="24h",
        metadata={"job": "1"},
    )
    while batch.status in ("validating", "in_progress", "finalizing"):
        batch = client.batches.retrieve(batch.id)
    assert batch.status == "completed"
    assert (batch.request_counts.total, batch.request_counts.completed) == (1, 1)
    (line,) = client.files.content(batch.output_file_id).text.splitlines()
    body = json.loads(line)["response"]["body"]
    assert body["usage"]["total_tokens"] == batch.usage.total_tokens
    assert client.batches.list(limit=1).data[0].id == batch.id
    assert client.files.delete(uploaded.id).deleted is True


@pytest.mark.parametrize(
    ("spec", "error"),
    [
        ("status=401", openai.AuthenticationError),
        ("status=429", openai.RateLimitError),
        ("status=500", openai.InternalServerError),
        ("status=529", openai.InternalServerError),
        ("context", openai.BadRequestError),
        ("cut=1", openai.APIConnectionError),
    ],
)
def test_faults_are_the_clients_errors(client: Any, spec: str, error: type[openai.APIError]) -> None:
    with pytest.raises(error):
        client.chat.completions.create(model="gpt-4o", messages=HI, extra_headers={"x-sandbox-fault": spec})


def test_the_shape_of_a_completion(provider: Any) -> None:
    body = provider.chat("Hi").json()
    assert body.keys() <= COMPLETION
    assert body.keys() >= REQUIRED
    (choice,) = body["choices"]
    assert choice.keys() == {"finish_reason", "index", "message", "logprobs"}
    assert choice["message"].keys() <= MESSAGE
    assert choice["message"].keys() >= {"role", "content", "refusal"}
    assert body["usage"].keys() == USAGE
    assert body["usage"]["prompt_tokens_details"].keys() == {"cached_tokens", "audio_tokens"}
    assert body["usage"]["completion_tokens_details"].keys() == {
        "accepted_prediction_tokens",
        "audio_tokens",
        "reasoning_tokens",
        "rejected_prediction_tokens",
    }


def test_the_shape_of_a_chunk(provider: Any) -> None:
    for chunk in provider.chat("Hi", stream=True).events()[:-1]:
        assert chunk.keys() <= COMPLETION | {"obfuscation"}
        assert chunk.keys() >= REQUIRED
        for choice in chunk["choices"]:
            assert choice.keys() == {"delta", "finish_reason", "index", "logprobs"}
            assert choice["delta"].keys() <= {"content", "role", "refusal", "tool_calls"}


def test_the_shape_of_an_embedding(provider: Any) -> None:
    order = {"model": "text-embedding-3-small", "input": "Hi"}
    body = provider.call("POST", "/v1/embeddings", order).json()
    assert body.keys() == {"data", "model", "object", "usage"}
    assert body["usage"].keys() == {"prompt_tokens", "total_tokens"}
    assert [item.keys() for item in body["data"]] == [{"index", "embedding", "object"}]
