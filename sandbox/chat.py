"""Chat completions, without a socket: a request's body in, a completion or its chunks out."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import orjson

from sandbox import errors, fields, prompts, prose, schemas, tokens, tools
from sandbox.prompts import Body
from sandbox.tools import ToolCall

REASONING_MODELS = ("o1", "o3", "o4", "gpt-5", "gpt-6")
REASONING_TOKENS = {
    "none": 0,
    "minimal": 16,
    "low": 32,
    "medium": 64,
    "high": 128,
    "xhigh": 256,
    "max": 512,
}
# OpenAI caches prompts of 1024 tokens and more, in steps of 128.
CACHE_MIN_TOKENS = 1024
CACHE_STEP_TOKENS = 128

ROLES = ("developer", "system", "user", "assistant", "tool", "function")

RULES = {
    "model": fields.TEXT,
    "messages": fields.ARRAY,
    "stream": fields.FLAG,
    "stream_options": fields.OBJECT,
    "n": fields.integer(1, 128),
    "max_tokens": fields.integer(1),
    "max_completion_tokens": fields.integer(1),
    "temperature": fields.decimal(0, 2),
    "top_p": fields.decimal(0, 1),
    "presence_penalty": fields.decimal(-2, 2),
    "frequency_penalty": fields.decimal(-2, 2),
    "stop": fields.TEXT_OR_ARRAY,
    "seed": fields.INTEGER,
    "tools": fields.ARRAY,
    "tool_choice": fields.Rule((str, dict), "a string or an object"),
    "response_format": fields.OBJECT,
    "reasoning_effort": fields.one_of(*REASONING_TOKENS),
    "service_tier": fields.one_of("auto", "default", "flex", "priority", "scale"),
}


class PromptCache:
    """The long prompts this process has seen, the last ones only."""

    def __init__(self, size: int = 10_000) -> None:
        self._seen: OrderedDict[bytes, None] = OrderedDict()
        self._size = size

    def cached_tokens(self, model: str, messages: list[Body], prompt_tokens: int) -> int:
        """Tokens of the prompt that come from the cache; the prompt is in it afterwards."""
        if prompt_tokens < CACHE_MIN_TOKENS:
            return 0
        prompt = prose.digest(model, messages)
        known = prompt in self._seen
        self._seen[prompt] = None
        self._seen.move_to_end(prompt)
        if len(self._seen) > self._size:
            self._seen.popitem(last=False)
        return prompt_tokens // CACHE_STEP_TOKENS * CACHE_STEP_TOKENS if known else 0


@dataclass(frozen=True, slots=True)
class Choice:
    text: str
    tool_call: ToolCall | None
    finish_reason: str

    @property
    def tokens(self) -> int:
        return self.tool_call.tokens if self.tool_call else tokens.count(self.text)


@dataclass(slots=True)
class Completion:
    id: str
    created: int
    model: str
    service_tier: str
    choices: list[Choice]
    usage: Body | None


def answer(body: Body, cache: PromptCache, now: int) -> Body:
    return render(complete(body, cache, now))


def complete(body: Body, cache: PromptCache, now: int) -> Completion:
    """The completion for a request's body; raises ApiError when the body is not valid."""
    check(body)
    model: str = body["model"]
    messages: list[Body] = body["messages"]
    seed = prose.digest(model, messages, body.get("seed"))
    asked = prompts.last_user_text(messages)
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    reasoning = reasoning_tokens(model, body.get("reasoning_effort"), limit)
    visible = None if limit is None else limit - reasoning
    count = body.get("n") or 1
    choices = [_choice(body, asked, seed, index, visible) for index in range(count)]
    prompt_tokens = tokens.of_messages(messages) + tokens.of_json(body.get("tools"))
    tier = body.get("service_tier") or "auto"
    return Completion(
        id=f"chatcmpl-sandbox-{seed.hex()}",
        created=now,
        model=model,
        service_tier="default" if tier == "auto" else tier,
        choices=choices,
        usage=_usage(
            prompt=prompt_tokens,
            cached=cache.cached_tokens(model, messages, prompt_tokens),
            visible=sum(choice.tokens for choice in choices),
            reasoning=reasoning * count,
        ),
    )


def render(completion: Completion) -> Body:
    """The `chat.completion` object."""
    body = _envelope(completion, "chat.completion")
    body["choices"] = [
        {
            "index": index,
            "message": _message(choice),
            "logprobs": None,
            "finish_reason": choice.finish_reason,
        }
        for index, choice in enumerate(completion.choices)
    ]
    if completion.usage is not None:
        body["usage"] = completion.usage
    return body


def chunks(completion: Completion, *, include_usage: bool) -> Iterator[Body]:
    """The `chat.completion.chunk` objects, the choices in turn as OpenAI interleaves them."""
    envelope = _envelope(completion, "chat.completion.chunk")
    if include_usage:
        envelope["usage"] = None
    for row in zip_longest(*(_deltas(choice) for choice in completion.choices)):
        for index, step in enumerate(row):
            if step is not None:
                delta, finish_reason = step
                yield {**envelope, "choices": [_chunk_choice(index, delta, finish_reason)]}
    if include_usage and completion.usage is not None:
        yield {**envelope, "choices": [], "usage": completion.usage}


# -- the request --------------------------------------------------------------------------------


def check(body: Body) -> None:
    """Raise ApiError for the first thing that is wrong with a chat request."""
    fields.check(body, RULES, required=("model", "messages"))
    if not body["messages"]:
        raise errors.empty_array("messages")
    for index, message in enumerate(body["messages"]):
        _check_message(f"messages[{index}]", message)
    fields.check_text_array("stop", body.get("stop"))
    if body.get("stream_options") is not None and not body.get("stream"):
        raise errors.ApiError(
            400,
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
            param="stream_options",
        )


def _check_message(name: str, message: Any) -> None:
    fields.OBJECT.check(name, message)
    role, content = message.get("role"), message.get("content")
    if role is None:
        raise errors.missing(f"{name}.role")
    if role not in ROLES:
        raise errors.invalid_value(f"{name}.role", role, ROLES)
    if content is None and role not in ("assistant", "function"):
        raise errors.missing(f"{name}.content")
    if content is not None and type(content) not in (str, list):
        raise errors.invalid_type(f"{name}.content", "a string or an array of objects", content)
    for index, part in enumerate(content if isinstance(content, list) else ()):
        fields.OBJECT.check(f"{name}.content[{index}]", part)


# -- the answer ---------------------------------------------------------------------------------


def reasoning_tokens(model: str, effort: str | None, limit: int | None) -> int:
    """Tokens a reasoning model thinks before it speaks; they eat from the limit, as OpenAI's do."""
    if not model.startswith(REASONING_MODELS):
        return 0
    wanted = REASONING_TOKENS[effort or "medium"]
    return wanted if limit is None else min(wanted, limit)


def _choice(body: Body, asked: str, seed: bytes, index: int, limit: int | None) -> Choice:
    function = tools.chosen(body, asked)
    if function is not None:
        return Choice("", tools.call(function, seed, index), "tool_calls")
    text = _content(body, asked, prose.number(seed) + 7919 * index)
    text = up_to_stop(text, body.get("stop"))
    if limit is not None and tokens.count(text) > limit:
        return Choice(tokens.cut(text, limit), None, "length")
    return Choice(text, None, "stop")


def _content(body: Body, asked: str, seed: int) -> str:
    wanted = body.get("response_format") or {}
    if wanted.get("type") == "json_schema":
        described = wanted.get("json_schema")
        schema = described.get("schema") if isinstance(described, dict) else None
        if not isinstance(schema, dict):
            raise errors.missing("response_format.json_schema.schema")
        return schemas.example_json(schema, seed, "response_format")
    if wanted.get("type") == "json_object":
        echo = prompts.without_directives(asked)[: prose.ECHO_CHARS]
        return orjson.dumps({"sandbox": True, "model": body["model"], "echo": echo}).decode()
    return prose.answer(body["model"], asked, seed)


def up_to_stop(text: str, stop: str | list[str] | None) -> str:
    """The text before the first stop sequence in it."""
    for sequence in [stop] if isinstance(stop, str) else stop or ():
        if sequence:
            text = text.split(sequence, 1)[0]
    return text


def _usage(*, prompt: int, cached: int, visible: int, reasoning: int) -> Body:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": visible + reasoning,
        "total_tokens": prompt + visible + reasoning,
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


# -- the wire's words ---------------------------------------------------------------------------


def _envelope(completion: Completion, kind: str) -> Body:
    return {
        "id": completion.id,
        "object": kind,
        "created": completion.created,
        "model": completion.model,
        "choices": [],
        "service_tier": completion.service_tier,
        "system_fingerprint": "fp_sandbox",
    }


def _message(choice: Choice) -> Body:
    message: Body = {
        "role": "assistant",
        "content": None if choice.tool_call else choice.text,
        "refusal": None,
        "annotations": [],
    }
    if choice.tool_call:
        message["tool_calls"] = [choice.tool_call.render()]
    return message


def _chunk_choice(index: int, delta: Body, finish_reason: str | None) -> Body:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def _deltas(choice: Choice) -> Iterator[tuple[Body, str | None]]:
    """(delta, finish_reason) of each chunk of one choice: the role, the tokens, the end."""
    call = choice.tool_call
    if call is None:
        yield {"role": "assistant", "content": "", "refusal": None}, None
        for piece in tokens.pieces(choice.text):
            yield {"content": piece}, None
    else:
        opening = {"index": 0, **call.render(), "function": {"name": call.name, "arguments": ""}}
        yield {"role": "assistant", "content": None, "tool_calls": [opening]}, None
        for piece in tokens.pieces(call.arguments):
            yield {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}, None
    yield {}, choice.finish_reason
