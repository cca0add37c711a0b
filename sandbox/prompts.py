"""What a request asks of the sandbox in words: the last user text and the directives in it.

Directives: `[sandbox: <fault spec>]`, `[tokens=200]`, `[tool]`, `[flag]`.
"""

import re
from typing import Any

Body = dict[str, Any]

MAX_TOKENS = 128_000

_DIRECTIVE = re.compile(r"\s*\[(?:sandbox:[^\]]*|tokens=\d+|tool|flag)\]")
_SPEC = re.compile(r"\[sandbox:\s*([^\]]*?)\s*\]")
_TOKENS = re.compile(r"\[tokens=(\d{1,9})\]")


def text_of(content: object) -> str:
    """The text of a message's content: a string, or the text parts of an array."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = (part.get("text") for part in content if isinstance(part, dict))
    return "\n".join(text for text in texts if isinstance(text, str))


def last_user_text(messages: list[Any]) -> str:
    for message in reversed(messages):
        if isinstance(message, dict) and message.get("role") == "user":
            return text_of(message.get("content"))
    return ""


def prompt_text(body: Body) -> str:
    """The text that may carry directives, on whatever surface: messages, input or prompt.

    It is read before the body is validated, so it takes any shape.
    """
    messages = body.get("messages")
    if isinstance(messages, list):
        return last_user_text(messages)
    source = body.get("input", body.get("prompt"))
    if isinstance(source, list) and source:
        return source[-1] if isinstance(source[-1], str) else last_user_text(source)
    return source if isinstance(source, str) else ""


def without_directives(text: str) -> str:
    """The text to echo: a hub that chains answers into prompts must not repeat a fault."""
    return _DIRECTIVE.sub("", text).strip() if "[" in text else text.strip()


def fault_spec(text: str) -> str | None:
    found = _SPEC.search(text) if "[sandbox:" in text else None
    return found[1] if found else None


def wanted_tokens(text: str) -> int | None:
    """The length asked for by `[tokens=N]`, between 1 and MAX_TOKENS."""
    found = _TOKENS.search(text) if "[tokens=" in text else None
    return min(max(int(found[1]), 1), MAX_TOKENS) if found else None
