"""Reading answers that speak OpenAI's words: usage in disjoint classes, a stream's pieces as a whole."""

from __future__ import annotations

from typing import Any

from ai_providers.domain import tokens
from ai_providers.domain.wire import TOOL_CALL_TEXTS, Call, Completion, Usage

#: What a chunk says of itself, not of the answer.
OF_A_CHUNK = frozenset(("choices", "usage", "object", "obfuscation"))
#: A larger number is a provider's mistake; it and its price still fit the ledger's columns.
MOST_TOKENS = 10**12


def usage_of(reported: Any) -> Usage | None:
    """Disjoint classes of what is reported as totals and subsets; None without a report.

    ``prompt_tokens`` holds the cached ones, ``completion_tokens`` the reasoning ones. A provider that
    reports a subset larger than its whole is read so that no class turns negative.
    """
    if isinstance(reported, dict) and "input_tokens" in reported:
        reported = _in_chats_words(reported)
    if not isinstance(reported, dict) or not isinstance(reported.get("prompt_tokens"), int | float):
        return None
    prompt = _count(reported, "prompt_tokens")
    completion = _count(reported, "completion_tokens")
    of_prompt = reported.get("prompt_tokens_details")
    cache_read = min(prompt, _count(of_prompt, "cached_tokens"))
    cache_write = min(prompt - cache_read, _count(of_prompt, "cache_write_tokens"))
    reasoning = min(completion, _count(reported.get("completion_tokens_details"), "reasoning_tokens"))
    return Usage(
        input=prompt - cache_read - cache_write,
        cache_read=cache_read,
        cache_write=cache_write,
        output=completion - reasoning,
        reasoning=reasoning,
    )


def _in_chats_words(reported: dict[str, Any]) -> dict[str, Any]:
    """The Responses API's report."""
    return {
        "prompt_tokens": reported["input_tokens"],
        "completion_tokens": reported.get("output_tokens"),
        "prompt_tokens_details": reported.get("input_tokens_details"),
        "completion_tokens_details": reported.get("output_tokens_details"),
    }


def _count(reported: Any, name: str) -> int:
    """A number of tokens: none where there is no number, never less than none or more than is credible."""
    value = reported.get(name) if isinstance(reported, dict) else None
    return int(min(max(0, value), MOST_TOKENS)) if isinstance(value, int | float) else 0


def report_of(usage: Usage) -> dict[str, Any]:
    """A usage in OpenAI's words."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": usage.cache_write,
        },
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }


def guessed(call: Call, body: dict[str, Any]) -> Usage:
    """The usage of an answer that reported none: input at its bound, output by its length."""
    choices = _objects(body.get("choices"))
    texts = [text for choice in choices for text in _texts(_object(choice.get("message")))]
    texts += [choice["text"] for choice in choices if isinstance(choice.get("text"), str)]
    for item in _objects(body.get("output")):
        parts = _objects(item.get("content"))
        texts += [part["text"] for part in parts if isinstance(part.get("text"), str)]
    output = sum(tokens.count_text(text) for text in texts)
    return Usage(input=tokens.most_input(call.params), output=output, estimated=True)


def _texts(message: dict[str, Any]) -> list[str]:
    """Every text of a message that was paid for; some providers say the reasoning under two names."""
    texts = [message.get(key) for key in ("content", "refusal")]
    texts.append(message.get("reasoning_content") or message.get("reasoning"))
    for call in _objects(message.get("tool_calls")):
        texts += [_object(call.get(kind)).get(name) for kind, name in TOOL_CALL_TEXTS.items()]
    return [text for text in texts if isinstance(text, str)]


def text_or_none(value: Any) -> str | None:
    """A provider's name for something, if it is a text."""
    return value if isinstance(value, str) and value else None


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _index(value: dict[str, Any]) -> int:
    index = value.get("index")
    return index if isinstance(index, int) and index >= 0 else 0


class Gathered:
    """What a stream has said so far, and the completion that it adds up to."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.head: dict[str, Any] = {}
        self.choices: dict[int, dict[str, Any]] = {}
        self.usage: Usage | None = None
        self.report: dict[str, Any] | None = None

    def add(self, data: dict[str, Any]) -> None:
        """Take in one chunk; of several usage reports the last one counts."""
        if not self.head:
            self.head = {k: v for k, v in data.items() if k not in OF_A_CHUNK}
        reported = usage_of(data.get("usage"))
        if reported is not None:
            self.usage, self.report = reported, data["usage"]
        for choice in _objects(data.get("choices")):
            self._choice(choice)

    def _choice(self, choice: dict[str, Any]) -> None:
        index = _index(choice)
        if index not in self.choices:
            message: dict[str, Any] = {"role": "assistant", "content": None}
            self.choices[index] = {"index": index, "message": message, "finish_reason": None}
        whole = self.choices[index]
        whole["finish_reason"] = choice.get("finish_reason") or whole["finish_reason"]
        if "logprobs" in choice:
            whole["logprobs"] = _with_logprobs(whole.get("logprobs"), choice["logprobs"])
        message = whole["message"]
        for key, value in _object(choice.get("delta")).items():
            if key == "tool_calls":
                _add_tool_calls(message.setdefault("tool_calls", []), _objects(value))
            elif value is None:
                message.setdefault(key, None)
            elif key != "role" and isinstance(value, str):
                message[key] = (message.get(key) or "") + value

    def completion(self) -> Completion:
        """The whole as if it had not been streamed; a stream cut short is estimated."""
        choices = [self.choices[index] for index in sorted(self.choices)]
        body = {**self.head, "object": "chat.completion", "choices": choices}
        usage = self.usage or guessed(self.call, body)
        body["usage"] = self.report or report_of(usage)
        finish_reason = choices[0]["finish_reason"] if choices else None
        return Completion(body, usage, text_or_none(self.head.get("id")), finish_reason)


def _add_tool_calls(whole: list[dict[str, Any]], deltas: list[dict[str, Any]]) -> None:
    for delta in deltas:
        kind = "custom" if isinstance(delta.get("custom"), dict) else "function"
        index = min(_index(delta), len(whole))
        if index == len(whole):
            whole.append({"type": kind, kind: {"name": "", TOOL_CALL_TEXTS[kind]: ""}})
        call = whole[index]
        if delta.get("id"):
            call["id"] = delta["id"]
        said = call.setdefault(kind, {})
        for key, value in _object(delta.get(kind)).items():
            if isinstance(value, str):
                said[key] = said.get(key, "") + value


def _with_logprobs(whole: Any, more: Any) -> dict[str, Any] | None:
    """Log-probabilities so far, and those of one more chunk."""
    if not isinstance(more, dict):
        return _object(whole) or None
    found = {"content": None, "refusal": None, **_object(whole)}
    for key, tokens_of_chunk in more.items():
        if isinstance(tokens_of_chunk, list):
            found[key] = (found.get(key) or []) + tokens_of_chunk
    return found
