"""A model's row as one of its endpoints takes it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ai_providers.domain.spec import ModelSpec, ParamRule

#: What the Responses API takes of every model that serves it, beside its input.
PLAIN = ("instructions", "max_output_tokens", "text", "tools", "metadata", "store", "user")


def spec_for(spec: ModelSpec, endpoint: str, responses: Mapping[str, ParamRule]) -> ModelSpec | None:
    """The row for ``endpoint`` (chat, embeddings, …); None when the model does not serve it.

    A chat model that serves the Responses API takes that API's parameters, of ``temperature``,
    ``top_p`` and ``reasoning`` those that its own row takes.
    """
    if spec.kind == endpoint:
        return spec
    if endpoint != "responses" or "/v1/responses" not in spec.endpoints:
        return None
    names = ["input", *PLAIN]
    names += [name for name in ("temperature", "top_p") if name in spec.params]
    names += ["reasoning"] if spec.is_reasoning else []
    taken = {name: responses[name] for name in names}
    for name in ("temperature", "top_p"):
        if name in taken:
            taken[name] = replace(spec.params[name], needs={})
    return replace(
        spec,
        kind="responses",
        params=taken,
        required=("model", "input"),
        forbidden=(),
        renames={},
        defaults={},
    )
