"""What is kept of a request beside the job: the parameters as they were sent. Pure."""

from __future__ import annotations

from typing import Any

from ai_providers.domain.spec import ModelSpec


def columns(spec: ModelSpec, sent: dict[str, Any], effort: str | None) -> dict[str, Any]:
    """The columns of an OpenAIJob, but for whose it is."""
    return {
        "model": spec.id,
        "generation": spec.generation,
        "temperature": sent.get("temperature"),
        "max_tokens": sent.get("max_tokens"),
        "max_completion_tokens": sent.get("max_completion_tokens"),
        "reasoning_effort": effort,
        "messages_format": "structured" if spec.content == "parts" else "legacy",
        "tools": sent.get("tools"),
        "response_format": sent.get("response_format"),
    }
