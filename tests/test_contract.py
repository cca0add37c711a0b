"""The OpenAPI document is whole: what an operation does, takes, answers and refuses, with examples.

A new operation is red here until it has them; docs/contract.md says how to join in two commands. That real
answers are as the document says is tested everywhere: ``conftest.Api`` holds each to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from django.conf import settings

from megahub.kernel import errors, surfaces
from tests import document, recording

OPERATIONS = sorted(document.operations().items(), key=lambda item: item[0][::-1])
NAMES = [f"{method} {path}" for (method, path), _ in OPERATIONS]
JOIN = "see docs/contract.md: ./hub test <its tests> --record-examples missing"
JSON = "application/json"
each = pytest.mark.parametrize(("key", "details"), OPERATIONS, ids=NAMES)
Key = tuple[str, str]
Details = dict[str, Any]


def resolved(example: Any) -> Any:
    """An entry of ``examples``, which may refer to the components'."""
    if "$ref" in example:
        return document.document()["components"]["examples"][example["$ref"].rsplit("/", 1)[1]]["value"]
    return example["value"]


def shown(media: Details) -> list[Any]:
    """The examples of a media type."""
    found = [media["example"]] if "example" in media else []
    return found + [resolved(example) for example in media.get("examples", {}).values()]


def told(details: Details) -> Iterator[tuple[str, Details, Details]]:
    """(where, schema, media) of everything that is sent or answered."""
    for kind, media in details.get("requestBody", {}).get("content", {}).items():
        yield f"request {kind}", media.get("schema", {}), media
    for status, answer in details["responses"].items():
        for kind, media in answer.get("content", {}).items():
            yield f"{status} {kind}", media.get("schema", {}), media


@each
def test_it_says_what_it_does(key: Key, details: Details) -> None:
    assert details.get("summary"), key
    assert len(details.get("description", "")) >= 7, f"{key}: the view's docstring is its description"
    assert details.get("tags"), key
    for parameter in details["parameters"]:
        assert parameter.get("description"), (key, parameter["name"])
        assert parameter["schema"], (key, parameter["name"])


@each
def test_it_has_examples(key: Key, details: Details) -> None:
    for where, _, media in told(details):
        if where.startswith(("request", "2")) and where.endswith(JSON):
            assert shown(media), f"{key}: no example of {where}; {JOIN}"


@each
def test_its_examples_fit_their_schemas(key: Key, details: Details) -> None:
    for where, schema, media in told(details):
        if not where.endswith(JSON):
            continue
        checked = document.validator(schema, closed=not where.startswith("request"))
        for example in shown(media):
            problems = [f"{list(e.instance_path)}: {e.message[:200]}" for e in checked.iter_errors(example)]
            assert problems == [], (key, where)


@each
def test_it_tells_its_errors_in_the_words_of_its_surface(key: Key, details: Details) -> None:
    """What may occur at any operation of its kind; its own ones are met by the tests of its endpoint."""
    _, path = key
    wanted = {"400", "401", "503"}
    wanted |= {"429"} if {} in details.get("security", [{}]) else {"403", "404"}
    wanted |= {"413"} if "requestBody" in details else set()
    keyed = any(one["name"] == "Idempotency-Key" for one in details["parameters"])
    wanted |= {"409", "422"} if keyed else set()
    assert wanted <= set(details["responses"])
    names = {surfaces.megahub: "Error", surfaces.openai: "OpenAIError", surfaces.batch: "BatchError"}
    name = names.get(surfaces.for_path(path), "EnvelopeError")
    for status in wanted:
        schema = details["responses"][status]["content"][JSON]["schema"]
        assert schema == {"$ref": f"#/components/schemas/{name}"}, (key, status)


def test_every_code_has_one_example_per_surface() -> None:
    """They are made by the surfaces themselves, so they cannot differ from what is answered."""
    found = document.document()["components"]["examples"]

    codes = {kind.code for kind in errors.type_registry.values()}
    assert {name.split(".")[1] for name in found} == codes


def test_no_example_of_what_is_gone() -> None:
    known = {details["operationId"] for _, details in OPERATIONS}

    left = [path.name for path in settings.HUB_EXAMPLES_DIR.glob("*.json") if path.stem not in known]
    assert left == [], "delete them"


class TestTheCheckOfRealAnswers:
    """Without it, nothing would hold what is answered to the document."""

    @staticmethod
    def found(method: str, path: str, status: int, body: Any) -> list[str]:
        return document.problems(method, path, httpx2.Response(status, json=body))

    def test_it_works(self) -> None:
        error = {"detail": "Not found.", "error": "Not found.", "error_code": "NOT_FOUND"}

        assert self.found("GET", "/ai/jobs/17/", 404, error) == []

    def test_an_undocumented_status(self) -> None:
        (problem,) = self.found("GET", "/ai/jobs/17/", 418, {})

        assert "418" in problem

    def test_an_undocumented_media_type(self) -> None:
        answer = httpx2.Response(404, text="Not found.")

        (problem,) = document.problems("GET", "/ai/jobs/17/", answer)
        assert "text/plain" in problem

    def test_an_undocumented_field(self) -> None:
        model = {"id": "m", "object": "model", "created": 1, "owned_by": "x", "shutdown_date": None}

        assert self.found("GET", "/v1/models/m", 200, model) == []
        (problem,) = self.found("GET", "/v1/models/m", 200, {**model, "secret": 1})
        assert "secret" in problem

    def test_a_stream_is_looked_at_event_by_event(self) -> None:
        def told(text: str) -> list[str]:
            answer = httpx2.Response(200, text=text, headers={"content-type": "text/event-stream"})
            return document.problems("GET", "/ai/jobs/17/events/", answer)

        assert told(": a beat\n\nid: 2\nevent: progress\ndata: {}\n\ndata: {}\n\n") == []
        (unknown,) = told("event: nonsense\ndata: {}\n\n")
        assert "nonsense" in unknown
        (undocumented,) = told("event: progress\ndata: {}\nretry: 5\n\n")
        assert "retry" in undocumented

    def test_a_missing_field(self) -> None:
        (problem,) = self.found(
            "GET", "/v1/models/m", 404, {"error": {"message": "x", "type": "y", "param": None}}
        )

        assert "code" in problem


class TestRecording:
    def test_what_belongs_to_one_run_is_replaced(self) -> None:
        seen = {"username": "alice-1f3a-12", "next": "http://127.0.0.1:45123/ai/jobs/?page=2"}

        assert recording.lasting(seen) == {
            "username": "alice",
            "next": "http://localhost:8000/ai/jobs/?page=2",
        }

    def test_lists_are_shortened(self) -> None:
        assert recording.shortened({"a": [1, 2, 3, 4]}) == {"a": [1, 2]}
