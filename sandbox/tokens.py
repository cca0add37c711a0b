"""The sandbox's tokenizer: four characters are one token, the last one may be shorter.

It is not OpenAI's, on purpose: anyone can foretell a bill by hand. What is billed:

- a text: its length in characters divided by 4, rounded up; an empty one is 0;
- a content part that is no text (an image, a sound, a file): 85;
- a message: 3 and its content, and the JSON of its tool calls if it has some;
- the tools of a request: their JSON.
"""

from typing import Any

import orjson

CHARS_PER_TOKEN = 4
MESSAGE_TOKENS = 3
PART_TOKENS = 85


def count(text: str) -> int:
    return (len(text) + CHARS_PER_TOKEN - 1) // CHARS_PER_TOKEN


def cut(text: str, limit: int) -> str:
    """The first `limit` tokens of a text."""
    return text[: limit * CHARS_PER_TOKEN]


def pieces(text: str) -> list[str]:
    """The tokens of a text; joined they are the text again."""
    return [text[at : at + CHARS_PER_TOKEN] for at in range(0, len(text), CHARS_PER_TOKEN)]


def of_json(value: object) -> int:
    return count(orjson.dumps(value).decode()) if value else 0


def of_content(content: object) -> int:
    """Tokens of a message's content: a string, an array of parts, or nothing."""
    if isinstance(content, str):
        return count(content)
    if isinstance(content, list):
        return sum(_of_part(part) for part in content)
    return 0


def of_messages(messages: list[dict[str, Any]]) -> int:
    return sum(
        MESSAGE_TOKENS + of_content(message.get("content")) + of_json(message.get("tool_calls"))
        for message in messages
    )


def _of_part(part: object) -> int:
    text = part.get("text") if isinstance(part, dict) else part
    return count(text) if isinstance(text, str) else PART_TOKENS
