"""A model's row as one of its endpoints takes it. Pure."""

from __future__ import annotations

from ai_providers.domain.spec import ModelSpec


def spec_for(spec: ModelSpec, endpoint: str) -> ModelSpec | None:
    """The row for ``endpoint`` (chat, embeddings, …); None when the model does not serve it."""
    return spec if spec.kind == endpoint else None
