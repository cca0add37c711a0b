"""Every endpoint of a batch runs on the hub's engine; embeddings go together."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ai_batch.domain import grouping
from ai_batch.models import Batch
from ai_providers.domain.wire import Completion, Usage
from tests.ai_batch.conftest import work
from tests.conftest import Api
from tests.world import Cast

pytestmark = pytest.mark.usefixtures("rung")
CASES = [
    ("/v1/completions", {"model": "gpt-3.5-turbo-instruct", "prompt": "Once"}, "choices"),
    ("/v1/moderations", {"model": "omni-moderation-latest", "input": "a [flag]"}, "results"),
    ("/v1/responses", {"model": "gpt-4o-mini", "input": "Hello", "max_output_tokens": 20}, "output"),
    ("/v1/responses", {"model": "gpt-5-mini", "input": [{"role": "user", "content": "Hi"}]}, "output"),
    ("/v1/embeddings", {"model": "text-embedding-3-small", "input": ["one", "two"]}, "data"),
]


def run(api: Api, endpoint: str, *bodies: dict[str, Any]) -> Batch:
    requests = [
        {"custom_id": f"c{number}", "method": "POST", "url": endpoint, "body": body}
        for number, body in enumerate(bodies)
    ]
    asked = {"endpoint": endpoint, "requests": requests, "engine": "hub"}
    made = api.post("/api/batch/create", asked).json()["batch"]
    return work(Batch.objects.unscoped().get(batch_id=made["id"]))


@pytest.mark.parametrize(("endpoint", "body", "part"), CASES)
def test_each_endpoint(api: Api, cast: Cast, endpoint: str, body: dict[str, Any], part: str) -> None:
    alice = api.as_(cast.alice)
    batch = run(alice, endpoint, body)
    assert (batch.status, batch.errors, batch.completed) == ("completed", [], 1)
    told = json.loads(alice.get(f"/api/batch/{batch.batch_id}/results").text)
    assert told["response"]["body"][part]
    line = batch.lines.get()
    free = endpoint == "/v1/moderations"
    assert (line.cost_nano_usd == 0) is free
    assert line.cost_nano_usd <= line.estimated_nano_usd


@pytest.mark.parametrize(
    ("endpoint", "body", "param"),
    [
        ("/v1/completions", {"model": "gpt-4o-mini", "prompt": "x"}, "body.model"),
        ("/v1/completions", {"model": "gpt-3.5-turbo-instruct"}, "body.prompt"),
        ("/v1/responses", {"model": "gpt-4o-mini", "input": "x", "messages": []}, "body.messages"),
        ("/v1/responses", {"model": "gpt-3.5-turbo-instruct", "input": "x"}, "body.model"),
        ("/v1/moderations", {"model": "omni-moderation-latest", "input": "x", "n": 1}, "body.n"),
        ("/v1/embeddings", {"model": "text-embedding-3-small", "input": ""}, "body.input"),
    ],
)
def test_what_a_model_refuses(
    api: Api, cast: Cast, endpoint: str, body: dict[str, Any], param: str
) -> None:
    batch = run(api.as_(cast.alice), endpoint, body)
    assert (batch.status, batch.errors[0]["param"], batch.errors[0]["line"]) == ("failed", param, 1)


def test_embeddings_go_together(api: Api, cast: Cast, provider: Any) -> None:
    """Eleven lines with twelve inputs: two calls, for there are two kinds of parameters."""

    async def vectors(call: Any, access: Any) -> Completion:
        given = call.params["input"]
        data = [
            {"object": "embedding", "index": n, "embedding": [float(len(text))]}
            for n, text in enumerate(given if isinstance(given, list) else [given])
        ]
        usage = Usage(input=101)
        return Completion({"object": "list", "data": data, "model": call.model}, usage)

    scripted = provider(vectors)
    model = "text-embedding-3-small"
    bodies: list[dict[str, Any]] = [{"model": model, "input": "x" * n} for n in range(1, 10)]
    bodies.append({"model": model, "input": ["y", "yy"]})
    bodies.append({"model": model, "input": "z", "dimensions": 8})
    alice = api.as_(cast.alice)
    batch = run(alice, "/v1/embeddings", *bodies)
    assert len(scripted.calls) == 2
    lines = [json.loads(raw) for raw in alice.get(f"/api/batch/{batch.batch_id}/results").text.splitlines()]
    told = [[item["embedding"] for item in line["response"]["body"]["data"]] for line in lines]
    assert told == [[[float(n)]] for n in range(1, 10)] + [[[1.0], [2.0]], [[1.0]]]
    assert sum(batch.lines.values_list("input_tokens", flat=True)) == 202 == batch.input_tokens


def test_shares_add_up() -> None:
    parts = grouping.shares(Usage(input=100, cache_read=7), [3, 3, 1])
    assert [part.input for part in parts] == [43, 43, 14]
    assert sum(part.cache_read for part in parts) == 7
