"""The Responses API as far as a batch needs it: text in, one message out, no tools, no stream."""

from typing import Any

from sandbox import chat, completions, errors, fields
from sandbox.chat import Completion, PromptCache
from sandbox.prompts import Body

RULES = {
    "model": fields.TEXT,
    "input": fields.TEXT_OR_ARRAY,
    "instructions": fields.TEXT,
    "max_output_tokens": fields.integer(1),
    "temperature": fields.decimal(0, 2),
    "top_p": fields.decimal(0, 1),
    "reasoning": fields.OBJECT,
    "text": fields.OBJECT,
    "metadata": fields.OBJECT,
    "stream": fields.FLAG,
}

ECHOED: dict[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}


def answer(body: Body, cache: PromptCache, now: int) -> Body:
    fields.check(body, RULES, required=("model", "input"))
    completions.refuse_stream(body)
    completion = chat.complete(_as_chat(body), cache, now)
    cut = completion.choices[0].finish_reason == "length"
    return {
        "id": completion.id.replace("chatcmpl-", "resp-"),
        "object": "response",
        "created_at": now,
        "completed_at": None if cut else now,
        "status": "incomplete" if cut else "completed",
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "model": completion.model,
        "output": _output(completion, cut),
        "service_tier": completion.service_tier,
        "usage": _usage(completion.usage or {}),
        **{name: body.get(name, default) for name, default in ECHOED.items()},
    }


def _as_chat(body: Body) -> Body:
    """The same request in the words of chat completions."""
    source = body["input"]
    if not source:
        raise errors.empty_array("input")
    messages = [{"role": "user", "content": source}] if isinstance(source, str) else source
    if body.get("instructions"):
        messages = [{"role": "developer", "content": body["instructions"]}, *messages]
    return {
        "model": body["model"],
        "messages": messages,
        "max_completion_tokens": body.get("max_output_tokens"),
        "reasoning_effort": (body.get("reasoning") or {}).get("effort"),
        "response_format": _response_format((body.get("text") or {}).get("format")),
    }


def _response_format(wanted: Any) -> Body | None:
    if not isinstance(wanted, dict):
        return None
    if wanted.get("type") != "json_schema":
        return {"type": wanted.get("type")}
    return {"type": "json_schema", "json_schema": {"schema": wanted.get("schema")}}


def _output(completion: Completion, cut: bool) -> list[Body]:
    name = completion.id.removeprefix("chatcmpl-sandbox-")
    text = {
        "type": "output_text",
        "text": completion.choices[0].text,
        "annotations": [],
        "logprobs": [],
    }
    message = {
        "type": "message",
        "id": f"msg-sandbox-{name}",
        "status": "incomplete" if cut else "completed",
        "role": "assistant",
        "content": [text],
    }
    if not completion.model.startswith(chat.REASONING_MODELS):
        return [message]
    return [{"type": "reasoning", "id": f"rs-sandbox-{name}", "summary": []}, message]


def _usage(usage: Body) -> Body:
    """Chat's usage in the words of the Responses API."""
    read, wrote = usage["prompt_tokens_details"], usage["completion_tokens_details"]
    return {
        "input_tokens": usage["prompt_tokens"],
        "input_tokens_details": {
            "cached_tokens": read["cached_tokens"],
            "cache_write_tokens": 0,
        },
        "output_tokens": usage["completion_tokens"],
        "output_tokens_details": {"reasoning_tokens": wrote["reasoning_tokens"]},
        "total_tokens": usage["total_tokens"],
    }
