"""Reading answers that speak OpenAI's words: usage in disjoint classes, a stream's pieces as a whole."""

from __future__ import annotations

from typing import Any

from ai_providers.domain import tokens
from ai_providers.domain.wire import Call, Completion, Usage


def usage_of(reported: Any) -> Usage | None:
    """Disjoint classes of what is reported as totals and subsets; None without a report.

    ``prompt_tokens`` holds the cached ones, ``completion_tokens`` the reasoning ones. A provider that
    reports a subset larger than its whole is read so that no class turns negative.
    """
    if not isinstance(reported, dict) or reported.get("prompt_tokens") is None:
        return None
    prompt = int(reported["prompt_tokens"])
    completion = int(reported.get("completion_tokens") or 0)
    of_prompt = reported.get("prompt_tokens_details") or {}
    of_completion = reported.get("completion_tokens_details") or {}
    cache_read = min(prompt, int(of_prompt.get("cached_tokens") or 0))
    cache_write = min(prompt - cache_read, int(of_prompt.get("cache_write_tokens") or 0))
    reasoning = min(completion, int(of_completion.get("reasoning_tokens") or 0))
    return Usage(
        input=prompt - cache_read - cache_write,
        cache_read=cache_read,
        cache_write=cache_write,
        output=completion - reasoning,
        reasoning=reasoning,
    )


def report_of(usage: Usage) -> dict[str, Any]:
    """A usage in OpenAI's words."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }


def guessed(call: Call, body: dict[str, Any]) -> Usage:
    """The usage of an answer that reported none: input at its bound, output by its length."""
    messages = [choice.get("message") or {} for choice in body.get("choices", ())]
    texts = [text for message in messages for text in _texts(message)]
    output = sum(tokens.count_text(text) for text in texts)
    return Usage(input=tokens.most_input(call.params), output=output, estimated=True)


def _texts(message: dict[str, Any]) -> list[str]:
    calls = [call.get("function", {}).get("arguments") for call in message.get("tool_calls", ())]
    texts = [message.get(key) for key in ("content", "reasoning_content", "refusal")]
    return [text for text in texts + calls if isinstance(text, str)]


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
            self.head = {k: v for k, v in data.items() if k not in ("choices", "usage", "object")}
        reported = usage_of(data.get("usage"))
        if reported is not None:
            self.usage, self.report = reported, data["usage"]
        for choice in data.get("choices") or ():
            self._choice(choice)

    def _choice(self, choice: dict[str, Any]) -> None:
        index = choice.get("index", 0)
        if index not in self.choices:
            message: dict[str, Any] = {"role": "assistant", "content": None}
            self.choices[index] = {"index": index, "message": message, "finish_reason": None}
        whole = self.choices[index]
        whole["finish_reason"] = choice.get("finish_reason") or whole["finish_reason"]
        message = whole["message"]
        for key, value in (choice.get("delta") or {}).items():
            if key == "tool_calls":
                _add_tool_calls(message.setdefault("tool_calls", []), value or [])
            elif key != "role" and isinstance(value, str):
                message[key] = (message.get(key) or "") + value

    def completion(self) -> Completion:
        """The whole as if it had not been streamed; a stream cut short is estimated."""
        choices = [self.choices[index] for index in sorted(self.choices)]
        body = {**self.head, "object": "chat.completion", "choices": choices}
        usage = self.usage or guessed(self.call, body)
        body["usage"] = self.report or report_of(usage)
        finish_reason = choices[0]["finish_reason"] if choices else None
        return Completion(body, usage, self.head.get("id"), finish_reason)


def _add_tool_calls(whole: list[dict[str, Any]], deltas: list[dict[str, Any]]) -> None:
    for delta in deltas:
        index = min(int(delta.get("index", 0)), len(whole))
        if index == len(whole):
            whole.append({"type": "function", "function": {"name": "", "arguments": ""}})
        call = whole[index]
        if delta.get("id"):
            call["id"] = delta["id"]
        for key, value in (delta.get("function") or {}).items():
            call["function"][key] = call["function"].get(key, "") + (value or "")
