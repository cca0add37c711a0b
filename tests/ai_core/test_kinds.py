"""What a job type knows of its input and its result."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from ai_core.domain.kinds import KINDS, Kind, body_of, result_of
from megahub.kernel.errors import ModelNotSupportedHere, ValidationFailed

CHAT, EMBEDDINGS = KINDS["chat_completion"], KINDS["embeddings"]
#: megahub-shapes.md: "seeded types at least".
SEEDED = (
    "chat_completion text_generation content_analysis seo_analysis document_analysis embeddings"
    " image_generation audio_transcription moderation fine_tuning assistant_run benchmark"
).split()
CATEGORIES = {"chat", "assistant", "upload", "analysis", "generation"}
HELLO = [{"role": "user", "content": "Hello"}]


def test_it_works() -> None:
    given = {"model": "o3", "messages": HELLO, "reasoning_effort": "high"}
    before = copy.deepcopy(given)

    assert body_of(CHAT, given, "gpt-4o") == ("o3", {"messages": HELLO, "reasoning_effort": "high"})
    assert given == before


def test_the_seeded_types() -> None:
    assert list(KINDS) == SEEDED
    assert {name: kind.name for name, kind in KINDS.items()} == {name: name for name in SEEDED}
    # "more may come": embeddings have a category of their own.
    assert {kind.category for kind in KINDS.values()} == CATEGORIES | {"embeddings"}
    assert all(kind.estimated_duration_seconds > 0 and kind.description for kind in KINDS.values())


def test_which_can_be_run() -> None:
    assert {kind.name: kind.endpoint for kind in KINDS.values() if kind.endpoint} == {
        "chat_completion": "chat",
        "text_generation": "chat",
        "content_analysis": "chat",
        "seo_analysis": "chat",
        "document_analysis": "chat",
        "embeddings": "embeddings",
    }


@pytest.mark.parametrize("kind", [kind for kind in KINDS.values() if kind.endpoint is None])
def test_which_cannot(kind: Kind) -> None:
    with pytest.raises(ModelNotSupportedHere) as caught:
        body_of(kind, {"model": "gpt-4o", "messages": HELLO}, "gpt-4o")

    assert str(caught.value) == f"Jobs of type {kind.name} cannot be run yet."
    assert (caught.value.param, caught.value.facts) == ("job_type", {"job_type": kind.name})
    assert caught.value.suggestions == sorted(k.name for k in KINDS.values() if k.endpoint is not None)


@pytest.mark.parametrize("given", [{}, {"model": None}])
def test_the_model_asked_for_when_none_is_named(given: dict[str, Any]) -> None:
    assert body_of(CHAT, given, "gpt-4o") == ("gpt-4o", {})


@pytest.mark.parametrize("given", [{}, {"model": None}])
def test_embeddings_have_no_model_of_their_own(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationFailed) as caught:
        body_of(EMBEDDINGS, {"input": "a", **given}, "gpt-4o")

    assert caught.value.field_errors == {"model": ["This field is required."]}
    assert caught.value.param == "model"


@pytest.mark.parametrize("kind", [CHAT, EMBEDDINGS])
@pytest.mark.parametrize("model", [3, ["o3"], {}, True, 0, False])
def test_a_model_that_is_no_name(kind: Kind, model: Any) -> None:
    with pytest.raises(ValidationFailed) as caught:
        body_of(kind, {"model": model, "messages": HELLO}, "gpt-4o")

    assert caught.value.field_errors == {"model": ["Expected string."]}


class TestPrompt:
    @pytest.mark.parametrize("more", [{}, {"messages": None}])
    def test_instead_of_messages(self, more: dict[str, Any]) -> None:
        assert body_of(CHAT, {"prompt": "Hello", **more}, "gpt-4o") == ("gpt-4o", {"messages": HELLO})

    def test_beside_messages(self) -> None:
        """It is left where it is, to be refused by name."""
        body = {"prompt": "Hello", "messages": HELLO}

        assert body_of(CHAT, body, "gpt-4o") == ("gpt-4o", body)

    @pytest.mark.parametrize("prompt", [3, ["Hello"], None])
    def test_no_text(self, prompt: Any) -> None:
        assert body_of(CHAT, {"prompt": prompt}, "gpt-4o") == ("gpt-4o", {"prompt": prompt})

    def test_of_embeddings(self) -> None:
        given = {"model": "text-embedding-3-small", "prompt": "Hello"}

        assert body_of(EMBEDDINGS, given, "gpt-4o")[1] == {"prompt": "Hello"}


def test_what_is_the_jobs_is_left_out() -> None:
    given = {"model": "o3", "messages": HELLO, "priority": "high", "async": True}

    assert body_of(CHAT, given, "gpt-4o", without=frozenset(("priority", "async"))) == (
        "o3",
        {"messages": HELLO},
    )


class TestResults:
    def test_chat(self) -> None:
        response = {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}], "usage": {}}

        assert result_of("chat", response) == {"completion": "Hi", "finish_reason": "stop"}

    def test_calls_of_tools(self) -> None:
        calls = [{"id": "a"}]
        message = {"content": None, "tool_calls": calls}
        response = {"choices": [{"message": message, "finish_reason": "tool_calls"}]}

        assert result_of("chat", response) == {
            "completion": None,
            "finish_reason": "tool_calls",
            "tool_calls": calls,
        }

    @pytest.mark.parametrize(
        "response",
        [{}, {"choices": []}, {"choices": None}, {"choices": [{}]}, {"choices": [{"message": None}]}],
    )
    def test_nothing_was_said(self, response: dict[str, Any]) -> None:
        assert result_of("chat", response) == {"completion": None, "finish_reason": None}

    def test_embeddings(self) -> None:
        response = {"object": "list", "data": [{"embedding": [0.5]}], "model": "text-embedding-3-small"}

        assert result_of("embeddings", response) == {
            "embeddings": [{"embedding": [0.5]}],
            "model": "text-embedding-3-small",
        }

    @pytest.mark.parametrize("endpoint", ["chat", "embeddings"])
    def test_none_yet(self, endpoint: str) -> None:
        assert result_of(endpoint, None) is None
