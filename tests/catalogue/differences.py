"""Where the catalogue says otherwise than the facts it was made from: on purpose, with the reason.

``pins.json`` keeps the facts in their own words. A model's row must take what the facts list as
optional and refuse what they list as forbidden, but for what is written here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Pin = dict[str, Any]
Where = Callable[[Pin], bool]

#: Names of kinds, and of classes of tokens, in the hub's words.
KINDS = {"embedding": "embeddings", "audio.transcription": "transcription", "audio.speech": "speech"}
TOKEN_CLASSES = {"cached_input": "cache_read"}

#: What the hub needs, whatever the provider calls it (its adapter puts it into the provider's words).
REQUIRED = {
    "chat": ("model", "messages"),
    "completions": ("model", "prompt"),
    "embeddings": ("model", "input"),
    "moderations": ("model", "input"),
    "responses": ("model", "input"),
    "image": ("model", "prompt"),
    "transcription": ("model", "file"),
    "speech": ("model", "input", "voice"),
}

#: Parameters of other wires in the hub's words; None: no counterpart yet, so the hub does not take it.
TRANSLATIONS: dict[str, str | None] = {
    # Anthropic
    "stop_sequences": "stop",
    "output_config.effort": "reasoning_effort",
    "output_config.format": "response_format",
    "system": None,  # a message of role system
    "cache_control": None,
    "container": None,
    "inference_geo": None,
    "thinking": None,  # said by reasoning_effort
    # Google
    "topP": "top_p",
    "topK": "top_k",
    "toolConfig": "tool_choice",
    "outputDimensionality": "dimensions",
    "systemInstruction": None,  # a message of role system
    "safetySettings": None,
    "cachedContent": None,
    "generationConfig": None,  # its parts are in GOOGLE_GENERATION below
    "taskType": None,
    "title": None,
    # Responses API
    "reasoning.effort": "reasoning",
    "text.format": "text",
}
GOOGLE_GENERATION = frozenset(
    "temperature top_p top_k max_completion_tokens stop n seed response_format presence_penalty"
    " frequency_penalty logprobs top_logprobs".split()
)

#: Entries under "forbidden" that forbid a value, and where the row must say so: (field, name, value).
#: ``only`` and ``choices``: the parameter is taken at that value and refused by name at any other.
VALUES = {
    "temperature!=1": ("only", "temperature", (1,)),
    "n!=1": ("only", "n", (1,)),
    "quality!=standard": ("choices", "quality", ("standard",)),
    "encoding_format!=float": ("choices", "encoding_format", ("float",)),
    "quality(standard|hd)": ("choices", "quality", ("low", "medium", "high", "auto")),
    "response_format=json_schema": ("format", "response_format", "json_schema"),
    "response_format=json_object (400)": ("format", "response_format", "json_object"),
    "content as array of parts (v1: 422)": ("content", "content", "string"),
    "role:system": ("role", "system", None),
    "role:developer": ("role", "developer", None),
    # One value is refused by the provider; no other is worth having, so the name is refused.
    "temperature!=default": ("forbidden", "temperature", None),
    "response_format=url": ("forbidden", "response_format", None),
    "stream_format=sse": ("forbidden", "stream_format", None),
    # A matter of the messages, for the adapter that does not exist yet.
    "assistant prefill": ("nowhere", "", None),
    # Of the chat endpoint, which these models do not have.
    "stream(chat)": ("nowhere", "", None),
}


def word(entry: str) -> str:
    """The name at the start of an entry: ``max_tokens`` of ``max_tokens 1..5000 (default 1024)``."""
    found = re.match(r"[A-Za-z_]+(\.[a-z]+)?", entry)
    assert found is not None, entry
    return found[0]


def words(entries: list[str]) -> set[str]:
    """The names of entries in the hub's words."""
    named = {word(entry) for entry in entries}
    return {mine for name in named if (mine := TRANSLATIONS.get(name, name)) is not None}


@dataclass(frozen=True)
class Difference:
    """``takes`` and ``forbids`` go beyond the facts; ``leaves`` and ``allows`` stay behind them."""

    where: Where
    why: str
    takes: str = ""
    leaves: str = ""
    forbids: str = ""
    allows: str = ""


def _chat(provider: str, *starts: str) -> Where:
    """Chat models of a provider whose ids start in one of these ways (or any)."""
    return lambda pin: (
        pin["provider"] == provider and pin["kind"] == "chat" and pin["id"].startswith(starts or ("",))
    )


def _kind(provider: str, kind: str) -> Where:
    return lambda pin: pin["provider"] == provider and pin["kind"] == kind


def _api(version: str) -> Where:
    """Infomaniak's chat models of that API version."""
    return lambda pin: (
        pin["provider"] == "infomaniak"
        and pin["kind"] == "chat"
        and pin["endpoints"][0].startswith(f"/{version}/")
    )


ADJUSTABLE = ("gpt-5.1", "gpt-5.2", "gpt-5.4", "gpt-5.5")
CHAT_NAMES = (
    "max_tokens top_p presence_penalty frequency_penalty logprobs top_logprobs logit_bias"
    " parallel_tool_calls stop"
)

DIFFERENCES = [
    Difference(
        lambda pin: _chat("openai")(pin) and pin["id"] != "o1-mini",
        "OpenAI's specification has them for every chat model; they take the place of `user`.",
        takes="safety_identifier prompt_cache_key",
    ),
    Difference(
        lambda pin: _chat("openai")(pin) and pin["generation"] == "new",
        "megahub-shapes: max_tokens is taken as max_completion_tokens (`renames`), accepted or not.",
        leaves="max_tokens",
        allows="max_tokens",
    ),
    Difference(
        _chat("openai", *ADJUSTABLE),
        "Conditional: taken with reasoning_effort=none (`needs`); top_logprobs goes with logprobs.",
        takes="temperature top_p logprobs top_logprobs",
    ),
    Difference(
        lambda pin: _chat("openai")(pin) and not {"verbosity"} & {*pin["optional"], *pin["forbidden"]},
        "The facts do not speak of it; no source has it accepted before GPT-5.",
        forbids="verbosity",
    ),
    Difference(
        lambda pin: pin["id"] == "o1-mini",
        "Gone since 2025-10-27. The facts list one optional parameter; the rest are its beta limits.",
        takes="safety_identifier stream stream_options user",
        forbids="metadata n prompt_cache_key response_format seed service_tier stop store tool_choice",
    ),
    Difference(
        lambda pin: pin["kind"] == "responses",
        "Names of the chat endpoint are unknown to the Responses API, not forbidden by the model.",
        takes="reasoning text",
        allows=CHAT_NAMES,
    ),
    Difference(
        _api("1"),
        "The API documents n and logit_bias as UNUSED: refused rather than dropped silently. The others"
        " belong to the second API. stream_options is the hub's own switch and is not sent.",
        takes="stream_options",
        leaves="n logit_bias",
        forbids="logit_bias n parallel_tool_calls prompt_cache_key reasoning_effort response_format"
        " tool_choice tools verbosity",
    ),
    Difference(
        _api("2"),
        "OpenAI's wire as its clients use it; what was not seen to work is refused by name.",
        takes="seed stop stream_options tool_choice response_format",
        forbids="logit_bias metadata n store verbosity",
    ),
    Difference(
        lambda pin: _api("2")(pin) and not pin["efforts"],
        "The facts list reasoning_effort for the whole API, and no effort for these two models.",
        leaves="reasoning_effort",
        forbids="reasoning_effort",
    ),
    Difference(
        _chat("anthropic"),
        "In the hub's words, for the adapter to come: Anthropic's names for them differ or are lacking.",
        takes="max_completion_tokens parallel_tool_calls stream_options user",
        leaves="service_tier",
        forbids="frequency_penalty logit_bias logprobs n presence_penalty seed top_logprobs verbosity",
    ),
    Difference(
        lambda pin: _chat("anthropic")(pin) and not pin["efforts"],
        "No effort is known for these models.",
        leaves="reasoning_effort",
        forbids="reasoning_effort",
    ),
    Difference(
        _chat("google"),
        "In the hub's words, for the adapter to come: generationConfig taken apart.",
        takes=" ".join((*GOOGLE_GENERATION, "stream", "stream_options", "user", "reasoning_effort")),
        forbids="logit_bias parallel_tool_calls verbosity",
    ),
    Difference(
        lambda pin: _chat("google")(pin) and not pin["efforts"],
        "2.5 takes a budget of tokens, not an effort.",
        leaves="reasoning_effort",
        forbids="reasoning_effort",
    ),
    Difference(
        lambda pin: pin["id"] == "gemini-3.8-flash",
        "Listed as forbidden, so not taken out of generationConfig.",
        leaves="temperature top_p top_k",
    ),
    Difference(
        _kind("google", "embedding"),
        "Google returns floats only.",
        forbids="encoding_format",
    ),
    Difference(
        lambda pin: pin["id"] in ("dall-e-2", "gpt-image-1"),
        "OpenAI's specification has them for every image model.",
        takes="user",
    ),
]


def expected_takes(pin: Pin) -> set[str]:
    """The parameters that the model's row must take, the required ones included."""
    taken = {*REQUIRED[KINDS.get(pin["kind"], pin["kind"])][1:], *words(pin["optional"])}
    if pin["kind"] != "responses":
        taken |= {VALUES[e][1] for e in pin["forbidden"] if _way(e) in ("only", "choices")}
    for difference in _of(pin):
        taken |= set(difference.takes.split())
    for difference in _of(pin):
        taken -= set(difference.leaves.split())
    return taken


def expected_forbids(pin: Pin) -> set[str]:
    """The parameters that the model's row must refuse by name."""
    plain = [entry for entry in pin["forbidden"] if entry not in VALUES]
    forbidden = words(plain)
    for difference in _of(pin):
        forbidden |= set(difference.forbids.split())
        forbidden -= set(difference.allows.split())
    return forbidden | {VALUES[entry][1] for entry in pin["forbidden"] if _way(entry) == "forbidden"}


def _way(entry: str) -> str:
    """In which field a row says an entry that forbids a value; empty for a plain one."""
    return VALUES[entry][0] if entry in VALUES else ""


def _of(pin: Pin) -> list[Difference]:
    return [difference for difference in DIFFERENCES if difference.where(pin)]
