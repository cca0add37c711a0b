"""What travels between the hub and an adapter, in the hub's own words (those of OpenAI's chat).

A ``Call`` goes in, ``Chunk``s come out. A call that is not streamed is a stream of one chunk, which
carries the ``Completion``; ``gathering`` makes one of a stream's chunks.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Endpoint = Literal["chat", "completions", "embeddings", "moderations", "responses"]
#: Where a call of a function or of a custom tool holds what the model wrote.
TOOL_CALL_TEXTS = {"function": "arguments", "custom": "input"}


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens by class; the classes are disjoint, so that their sum is the provider's total.

    ``estimated`` marks a count that the provider did not give (a stream cut short).
    """

    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0
    reasoning: int = 0
    estimated: bool = False

    @property
    def prompt_tokens(self) -> int:
        """All that went in, cached or not."""
        return self.input + self.cache_read + self.cache_write

    @property
    def completion_tokens(self) -> int:
        """All that came out, reasoning included."""
        return self.output + self.reasoning

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Call:
    """One request to a model: ``params`` are cleaned and in the hub's words."""

    endpoint: Endpoint
    model: str
    params: dict[str, Any]
    stream: bool = False


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach a provider for one company; never a row, never printed.

    ``source`` says whose key it is: ``own``, ``global`` (the hub's, for companies that opted in) or
    ``sandbox``. ``extra`` holds what a provider needs beside the key (``product_id``…).
    """

    provider: str
    source: Literal["own", "global", "sandbox"]
    base_url: str
    api_key: str = field(repr=False)
    extra: dict[str, str] = field(default_factory=dict, repr=False)
    credentials_id: int | None = None
    connect_seconds: float = 5.0
    first_byte_seconds: float = 300.0
    between_bytes_seconds: float = 60.0

    @property
    def is_sandbox(self) -> bool:
        return self.source == "sandbox"


@dataclass(frozen=True, slots=True)
class RateLimits:
    """What the provider's ``x-ratelimit-*`` headers said; None where it said nothing."""

    limit_requests: int | None = None
    remaining_requests: int | None = None
    limit_tokens: int | None = None
    remaining_tokens: int | None = None
    reset_requests_seconds: float | None = None
    reset_tokens_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """A finished answer: ``body`` is shaped like OpenAI's response of that endpoint."""

    body: dict[str, Any]
    usage: Usage
    provider_id: str | None = None
    finish_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of an answer: ``data`` shaped like OpenAI's chunk, or the whole completion.

    ``rate_limits`` comes with the first piece, when the provider told them.
    """

    data: dict[str, Any] | None = None
    completion: Completion | None = None
    rate_limits: RateLimits | None = None
