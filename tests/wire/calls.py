"""Calling a real adapter over real HTTP, and keeping the key out of everything that is raised."""

from __future__ import annotations

import traceback
from typing import Any

import pytest

from ai_providers.adapters.base import Adapter
from ai_providers.adapters.infomaniak import Infomaniak
from ai_providers.adapters.openai import OpenAI
from ai_providers.catalogue import loading
from ai_providers.domain import params
from ai_providers.domain.spec import ModelSpec
from ai_providers.domain.wire import Access, Call, Chunk, Completion
from megahub.kernel.errors import HubError
from tests.wire.replay import Provider

CANARY = "sk-canary-Zx81kQp4tYw7"
REQUEST_ID = "ai_job_4f9a-1"
HELLO = [{"role": "user", "content": "Hello"}]


def spec_of(model: str) -> ModelSpec:
    return loading.models()[model]


def adapter_of(spec: ModelSpec) -> Adapter:
    return Infomaniak() if spec.provider == "infomaniak" else OpenAI()


def access_to(provider: Provider | str, name: str = "openai", **fields: Any) -> Access:
    """The way to the provider that plays back, with short patience."""
    url = provider if isinstance(provider, str) else provider.url
    patience = {"connect_seconds": 1.0, "first_byte_seconds": 1.0, "between_bytes_seconds": 1.0}
    extra = {"product_id": "10042"} if name == "infomaniak" else {}
    return Access(name, "own", url, CANARY, **{"extra": extra, **patience, **fields})


def cleaned(model: str, *, stream: bool = False, **given: Any) -> Call:
    """A call as the pipeline makes it: ``params.clean``, no defaults."""
    spec = spec_of(model)
    body = dict(given)
    if spec.kind == "chat":
        body.setdefault("messages", HELLO)
    found = params.clean(spec, {"model": model, **body}, with_defaults=False)
    endpoint = "embeddings" if spec.kind == "embeddings" else "chat"
    return Call(endpoint, model, found.params, stream=stream)  # type: ignore[arg-type]


async def pieces(call: Call, access: Access) -> list[Chunk]:
    """All that the adapter says."""
    spec = spec_of(call.model)
    return [chunk async for chunk in adapter_of(spec).stream(call, access, spec, REQUEST_ID)]


async def completion(call: Call, access: Access) -> Completion:
    """The completion of a call that is not streamed."""
    (only,) = await pieces(call, access)
    assert only.data is None
    assert only.completion is not None
    return only.completion


async def failure(call: Call, access: Access) -> HubError:
    """What the call raises; the key is nowhere in it."""
    with pytest.raises(HubError) as caught:
        await pieces(call, access)
    assert_no_key(caught.value)
    return caught.value


def assert_no_key(error: BaseException) -> None:
    """In no text, argument, fact or cause of the error, as far as anybody may print it."""
    assert CANARY not in "".join(traceback.format_exception(error))
    seen: BaseException | None = error
    while seen is not None:
        said = f"{seen} {seen!r} {seen.args!r} {getattr(seen, '__dict__', {})!r}"
        assert CANARY not in said, type(seen)
        seen = seen.__cause__
    if isinstance(error, HubError):
        assert CANARY not in repr(error.as_data())
