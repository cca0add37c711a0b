"""What a job type knows of its input: which endpoint runs it, and how its result is shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ai_providers.domain.wire import Endpoint
from megahub.kernel.errors import JobTypeNotFound, ModelNotSupportedHere, ValidationFailed
from megahub.kernel.text import Text

#: Fields of MEGAHUB's chat body that are the job's, not the model's; they are kept with its input.
JOB_KEYS = frozenset(("description", "priority", "async"))


@dataclass(frozen=True, slots=True)
class Kind:
    """A job type: ``endpoint`` is None for one that the hub cannot run yet."""

    name: str
    category: str
    description: str
    estimated_duration_seconds: int
    requires_async: bool
    endpoint: Endpoint | None


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("chat_completion", "chat", "Chat with a model", 10, False, "chat"),
        Kind("text_generation", "generation", "Write a text", 15, False, "chat"),
        Kind("content_analysis", "analysis", "Analyse a content", 20, False, "chat"),
        Kind("seo_analysis", "analysis", "Analyse a page for search engines", 30, True, "chat"),
        Kind("document_analysis", "analysis", "Analyse a document", 60, True, "chat"),
        Kind("embeddings", "embeddings", "Vectors of texts", 5, False, "embeddings"),
        Kind("image_generation", "generation", "Draw an image", 60, True, None),
        Kind("audio_transcription", "upload", "Write down speech", 120, True, None),
        Kind("moderation", "analysis", "Check a content against a policy", 5, False, None),
        Kind("fine_tuning", "upload", "Train a model further", 3600, True, None),
        Kind("assistant_run", "assistant", "Run an assistant", 60, True, None),
        Kind("benchmark", "analysis", "Compare models", 600, True, None),
    )
}


def can_run(name: str) -> bool:
    """Whether the hub runs jobs of this type."""
    return name in KINDS and KINDS[name].endpoint is not None


def find(name: str) -> Kind:
    """The kind of that name. Raises JobTypeNotFound with the names of those that can be run."""
    found = KINDS.get(name)
    if found is None:
        names = sorted(filter(can_run, KINDS))
        raise JobTypeNotFound(param="job_type", suggestions=names, words={"job_type": name[:60]})
    return found


def body_of(
    kind: Kind, input_data: dict[str, Any], default_model: str, *, without: frozenset[str] = frozenset()
) -> tuple[str, dict[str, Any]]:
    """(model, request body) of a job's input. Raises ValidationFailed or ModelNotSupportedHere.

    A chat may give a ``prompt`` instead of ``messages``. ``without`` names fields to leave out.
    """
    if kind.endpoint is None:
        message = "Jobs of type {job_type} cannot be run yet."
        names = sorted(filter(can_run, KINDS))
        raise ModelNotSupportedHere(message, param="job_type", suggestions=names, job_type=kind.name)
    body = {name: value for name, value in input_data.items() if name not in without}
    model = body.pop("model", None)
    if model is None and kind.endpoint == "chat":
        model = default_model
    if not isinstance(model, str):
        text = (
            Text("This field is required.") if model is None else Text("Expected {types}.", types="string")
        )
        raise ValidationFailed(field_errors={"model": [text]}, param="model")
    prompted = kind.endpoint == "chat" and body.get("messages") is None
    if prompted and isinstance(body.get("prompt"), str):
        body["messages"] = [{"role": "user", "content": body.pop("prompt")}]
    return model, body


def result_of(endpoint: str, response: dict[str, Any] | None) -> dict[str, Any] | None:
    """``result_data`` as clients read it: completion and finish_reason, with the whole response."""
    if response is None:
        return None
    if endpoint == "embeddings":
        return {"embeddings": response.get("data"), "model": response.get("model")}
    first: dict[str, Any] = next(iter(response.get("choices") or ()), {})
    message = first.get("message") or {}
    result = {
        "completion": message.get("content"),
        "finish_reason": first.get("finish_reason"),
    }
    if message.get("tool_calls"):
        result["tool_calls"] = message["tool_calls"]
    return result
