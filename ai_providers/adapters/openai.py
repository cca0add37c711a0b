"""OpenAI's wire: chat (plain and streamed), embeddings, models.

``to_wire`` and ``from_wire`` are pure. The hub's own words are OpenAI's, so little is changed on the
way; what differs between providers that speak this wire is in the class's attributes and methods.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import orjson

from ai_providers.adapters import http
from ai_providers.domain.gathering import guessed, text_or_none, usage_of
from ai_providers.domain.spec import ModelSpec
from ai_providers.domain.wire import Access, Call, Chunk, Completion, RateLimits
from megahub.kernel.errors import (
    ContextLengthExceeded,
    HubError,
    InvalidApiKey,
    ModelNotFound,
    ProviderDisconnected,
    ProviderError,
    ProviderMalformed,
    ProviderRefused,
    ProviderUnavailable,
    RateLimited,
)
from megahub.kernel.logs import REDACTED, without_keys

PATHS = {
    "chat": "/chat/completions",
    "completions": "/completions",
    "embeddings": "/embeddings",
    "moderations": "/moderations",
    "responses": "/responses",
}
#: Where each endpoint's answer holds what was asked for.
PARTS = {
    "chat": "choices",
    "completions": "choices",
    "embeddings": "data",
    "moderations": "results",
    "responses": "output",
}
DURATION = re.compile(r"(?<![\d.])(\d++(?:\.\d++)?)(ms|s|m|h|d)")
DURATIONS = re.compile(f"(?:{DURATION.pattern})+")
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
LONGEST_WAIT_SECONDS = 86_400.0
#: A longer number in a header is no number of requests or tokens.
MAX_DIGITS = 19
#: Under which key the attempt's name is kept with a stored completion; OpenAI takes so many keys.
NAME, MOST_METADATA = "hub_attempt", 16
#: Statuses after which another attempt may succeed (reliability.md, section 2).
RETRYABLE = frozenset((408, 409, 425, 500, 502, 503, 504, 529))


class OpenAI:
    """OpenAI itself, and the base of every provider that speaks its wire."""

    name = "openai"

    def url(self, access: Access, spec: ModelSpec | None, path: str) -> str:
        """Where a path of the wire lies for this access."""
        return access.base_url + path

    def check(self, access: Access) -> None:
        """Nothing is needed beside the key."""

    def headers(self, access: Access, request_id: str) -> dict[str, str]:
        """The headers of a call; the request id lets the provider's log be matched with ours."""
        found = {
            "Authorization": f"Bearer {access.api_key}",
            "Content-Type": "application/json",
            "X-Client-Request-Id": request_id,
        }
        if organization := access.extra.get("organization"):
            found["OpenAI-Organization"] = organization
        return found

    async def stream(
        self, call: Call, access: Access, spec: ModelSpec, request_id: str
    ) -> AsyncIterator[Chunk]:
        """Send the call once: a completion, or a stream's chunks in OpenAI's shape, its usage last."""
        url = self.url(access, spec, PATHS[call.endpoint])
        headers = self.headers(access, request_id)
        content = orjson.dumps(named(self.to_wire(call, spec), request_id))
        try:
            if not call.stream:
                answer = await http.call(access, "POST", url, headers, content)
                completion = from_wire(call, answer.json, answer.headers, access)
                yield Chunk(completion=completion, rate_limits=rate_limits(answer.headers))
                return
            async for chunk in self._chunks(access, url, headers, content, spec):
                yield chunk
        except http.Refusal as refusal:
            raise self.error(access, refusal.answer, spec) from None

    async def _chunks(
        self, access: Access, url: str, headers: dict[str, str], content: bytes, spec: ModelSpec
    ) -> AsyncIterator[Chunk]:
        """The chunks of a stream. Raises ProviderDisconnected when it ends before its end."""
        began = ended = False
        async for names, data in http.events(access, url, headers, content):
            if data is None:
                ended = True
                continue
            if not isinstance(data, dict):
                raise ProviderMalformed(provider=access.provider)
            if data.get("error"):
                raise self.error(access, http.Answer(500, names, data), spec)
            ended = ended or any(choice.get("finish_reason") for choice in objects(data, "choices", access))
            yield Chunk(data=data, rate_limits=None if began else rate_limits(names))
            began = True
        if not ended:
            raise ProviderDisconnected(provider=access.provider)

    async def stored(self, call: Call, access: Access, request_id: str) -> Completion | None:
        """What was answered to a chat call with ``store`` under this name; None when nothing was kept."""
        query = urlencode({f"metadata[{NAME}]": request_id, "limit": 1})
        url = self.url(access, None, f"{PATHS['chat']}?{query}")
        try:
            answer = await http.call(access, "GET", url, self.headers(access, f"{request_id}-stored"))
        except http.Refusal as refusal:
            raise self.error(access, refusal.answer, None) from None
        listed = objects(answer.json, "data", access) if isinstance(answer.json, dict) else []
        found = (each for each in listed if (each.get("metadata") or {}).get(NAME) == request_id)
        completion = next(found, None)
        return None if completion is None else from_wire(call, completion, answer.headers, access)

    async def models(self, access: Access) -> list[dict[str, Any]]:
        """The models that this access may use."""
        url = self.url(access, None, "/models")
        try:
            answer = await http.call(access, "GET", url, self.headers(access, "models"))
        except http.Refusal as refusal:
            raise self.error(access, refusal.answer, None) from None
        listed = answer.json.get("data") if isinstance(answer.json, dict) else None
        if not isinstance(listed, list):
            raise ProviderMalformed(provider=access.provider)
        return listed

    def error(self, access: Access, answer: http.Answer, spec: ModelSpec | None) -> HubError:
        """A refusal as a HubError: by status and code, never by sentence."""
        told = answer.json.get("error") if isinstance(answer.json, dict) else None
        told = told if isinstance(told, dict) else {}
        code, status, provider = told.get("code"), answer.status, access.provider
        later = retry_after(answer.headers)
        if status == 401 or code in ("invalid_api_key", "account_deactivated"):
            return InvalidApiKey(provider=provider)
        if status == 404 and code == "model_not_found" and spec is not None:
            return ModelNotFound(param="model", model=spec.id)
        if code == "context_length_exceeded" and spec is not None:
            message = "The request is longer than the model's context of {context_window} tokens."
            return ContextLengthExceeded(message, param="messages", context_window=spec.context_window)
        if status == 429:
            return RateLimited(retry_after=later, provider=provider)
        if status == 503:
            return ProviderUnavailable(retry_after=later, provider=provider)
        if status in RETRYABLE or status >= 500 or 300 <= status < 400:
            return ProviderError(retry_after=later, provider=provider)
        reason, param = self.reason(told)
        # A gateway may quote the headers that it received, whole or in part.
        reason = without_keys((reason or f"status {status}").replace(access.api_key, REDACTED))
        named = param if isinstance(param, str) else None
        return ProviderRefused(param=named, provider=provider, words={"reason": reason[:500]})

    def reason(self, told: dict[str, Any]) -> tuple[str, Any]:
        """What the provider says is wrong, and with which parameter (if it is a text)."""
        return str(told.get("message") or ""), told.get("param")

    def to_wire(self, call: Call, spec: ModelSpec) -> dict[str, Any]:
        """The body to send."""
        sent = {"model": call.model, **call.params}
        if call.stream:
            sent |= {"stream": True, "stream_options": {"include_usage": True}}
        return sent


def named(body: dict[str, Any], request_id: str) -> dict[str, Any]:
    """A request that the provider keeps bears the attempt's name, by which its answer is found again."""
    metadata = body.get("metadata") or {}
    if body.get("store") is not True or len(metadata) >= MOST_METADATA:
        return body
    return {**body, "metadata": {**metadata, NAME: request_id}}


def from_wire(call: Call, json: Any, headers: dict[str, str], access: Access) -> Completion:
    """The completion that a whole answer holds. Raises ProviderMalformed for one without its parts."""
    part = PARTS[call.endpoint]
    if not isinstance(json, dict) or json.get(part) is None:
        raise ProviderMalformed(provider=access.provider)
    found = objects(json, part, access)
    if call.endpoint == "chat" and not all(isinstance(choice.get("message"), dict) for choice in found):
        raise ProviderMalformed(provider=access.provider)
    first: dict[str, Any] = next(iter(found), {})
    return Completion(
        body=json,
        usage=usage_of(json.get("usage")) or guessed(call, json),
        provider_id=text_or_none(json.get("id")) or headers.get("x-request-id"),
        finish_reason=first.get("finish_reason"),
    )


def objects(json: dict[str, Any], part: str, access: Access) -> list[dict[str, Any]]:
    """A list of objects in an answer; an absent one is empty. Raises ProviderMalformed."""
    found = json.get(part)
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise ProviderMalformed(provider=access.provider)
    return found


def rate_limits(headers: dict[str, str]) -> RateLimits | None:
    """What the ``x-ratelimit-*`` headers say; None without any."""
    if "x-ratelimit-limit-requests" not in headers and "x-ratelimit-limit-tokens" not in headers:
        return None

    def whole(name: str) -> int | None:
        text = headers.get(f"x-ratelimit-{name}", "")
        return int(text) if text.isdecimal() and len(text) < MAX_DIGITS else None

    return RateLimits(
        limit_requests=whole("limit-requests"),
        remaining_requests=whole("remaining-requests"),
        limit_tokens=whole("limit-tokens"),
        remaining_tokens=whole("remaining-tokens"),
        reset_requests_seconds=duration(headers.get("x-ratelimit-reset-requests")),
        reset_tokens_seconds=duration(headers.get("x-ratelimit-reset-tokens")),
    )


def duration(text: str | None) -> float | None:
    """Seconds of ``6m0s``, ``20ms`` or ``1s``; None for anything else."""
    if not text or not DURATIONS.fullmatch(text):
        return None
    return sum(float(amount) * SECONDS[unit] for amount, unit in DURATION.findall(text))


def retry_after(headers: dict[str, str]) -> float | None:
    """Seconds to wait: ``retry-after-ms`` or ``retry-after`` (seconds or an HTTP date); a day at most."""
    milliseconds = headers.get("retry-after-ms", "")
    if milliseconds.replace(".", "", 1).isdecimal():
        found: float | None = float(milliseconds) / 1000
    else:
        found = http.seconds_until(headers.get("retry-after"))
    return None if found is None else min(found, LONGEST_WAIT_SECONDS)
