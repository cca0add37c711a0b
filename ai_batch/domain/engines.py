"""Which engine runs a batch. Pure."""

from __future__ import annotations

from ai_providers.domain.spec import ModelSpec
from megahub.kernel.errors import ModelNotSupportedHere

#: Providers whose batch API the hub speaks.
WITH_BATCHES = frozenset(("openai",))


def choose(asked: str, spec: ModelSpec, endpoint: str, policy: str = "auto") -> str:
    """``provider`` or ``hub``. Raises ModelNotSupportedHere when the provider was asked for and cannot.

    A company's ``policy`` holds for batches that ask for none; it is a wish where the provider cannot.
    """
    able = spec.provider in WITH_BATCHES and spec.batch_eligible
    if asked == "provider" and not able:
        message = "{provider} has no batch API for {model}; choose the engine 'hub' or 'auto'."
        raise ModelNotSupportedHere(
            message, param="model", model=spec.id, words={"provider": spec.provider}, endpoint=endpoint
        )
    if asked == "auto":
        return "provider" if able and policy != "hub" else "hub"
    return asked
