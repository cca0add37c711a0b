"""OpenAI's batch API on the wire: a file up, a batch made, looked at and cancelled, results down.

Errors leave it as HubErrors, mapped as those of single calls are.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson

from ai_providers.adapters import http
from ai_providers.adapters.openai import OpenAI
from ai_providers.domain.wire import Access
from megahub.kernel.errors import ProviderMalformed

#: Providers whose batch API the hub speaks.
SPEAKERS: dict[str, OpenAI] = {"openai": OpenAI()}
#: How many of the latest batches are looked through for one that may have been made.
LOOKED_THROUGH = 100


async def upload(access: Access, path: Path, name: str) -> str:
    """Upload a file of requests; its id at the provider."""
    wire = SPEAKERS[access.provider]
    headers = {k: v for k, v in wire.headers(access, name).items() if k != "Content-Type"}
    try:
        answer = await http.upload(access, wire.url(access, None, "/files"), headers, path, name)
    except http.Refusal as refusal:
        raise wire.error(access, refusal.answer, None) from None
    return _text(access, answer.json, "id")


async def create(access: Access, file_id: str, endpoint: str, ref: str) -> dict[str, Any]:
    """Make a batch, marked with the hub's own name for it."""
    body = {
        "input_file_id": file_id,
        "endpoint": endpoint,
        "completion_window": "24h",
        "metadata": {"hub_batch": ref},
    }
    return await _call(access, "POST", "/batches", ref, body)


async def made_before(access: Access, ref: str) -> dict[str, Any] | None:
    """The batch that was made under the hub's name, if one was; a lost answer does not make a second."""
    listed = await _call(access, "GET", f"/batches?limit={LOOKED_THROUGH}", ref)
    for batch in listed.get("data") or ():
        if isinstance(batch, dict) and (batch.get("metadata") or {}).get("hub_batch") == ref:
            return batch
    return None


async def get(access: Access, batch_id: str) -> dict[str, Any]:
    """The batch as it is."""
    return await _call(access, "GET", f"/batches/{batch_id}", batch_id)


async def cancel(access: Access, batch_id: str) -> dict[str, Any]:
    """Ask for it to stop."""
    return await _call(access, "POST", f"/batches/{batch_id}/cancel", batch_id, {})


async def content(access: Access, file_id: str) -> AsyncIterator[bytes]:
    """A file's bytes as they come."""
    wire = SPEAKERS[access.provider]
    url = wire.url(access, None, f"/files/{file_id}/content")
    try:
        async for piece in http.download(access, url, wire.headers(access, file_id)):
            yield piece
    except http.Refusal as refusal:
        raise wire.error(access, refusal.answer, None) from None


async def _call(access: Access, method: str, path: str, name: str, body: Any = None) -> dict[str, Any]:
    wire = SPEAKERS[access.provider]
    raw = None if body is None else orjson.dumps(body)
    try:
        answer = await http.call(
            access, method, wire.url(access, None, path), wire.headers(access, name), raw
        )
    except http.Refusal as refusal:
        raise wire.error(access, refusal.answer, None) from None
    if not isinstance(answer.json, dict):
        raise ProviderMalformed(provider=access.provider)
    return answer.json


def _text(access: Access, json: Any, name: str) -> str:
    found = json.get(name) if isinstance(json, dict) else None
    if not isinstance(found, str) or not found:
        raise ProviderMalformed(provider=access.provider)
    return found
