"""A company's forbidden words, looked for as whole words, whatever their case. Pure.

Plain words, never a pattern: no company's rule can make the hub slow.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Any

MAX_WORDS = 500
MAX_LENGTH = 100
#: How much of a text the provider's moderation is asked at once: of more it judges worse, or not at all.
PIECE = 16_000
#: So much of a piece stands at the beginning of the next: what is cut through stands whole in one of them.
OVERLAP = 400
#: Parts of messages that name an image: ``{"url": …}`` or the address itself.
SHOWING = ("image_url", "input_image", "computer_screenshot")


def folded(text: str) -> str:
    """``text`` as it is compared: one form for each sign, no case, one blank between words."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def hits(words: Iterable[str], text: str) -> list[str]:
    """The words (folded) that stand in ``text``."""
    where = folded(text)
    return [word for word in words if _stands(word, where)]


def _stands(word: str, text: str) -> bool:
    """Whether ``word`` stands in ``text`` with no letter or digit at its ends."""
    start = text.find(word)
    while start >= 0:
        end = start + len(word)
        if not (start and text[start - 1].isalnum()) and not text[end : end + 1].isalnum():
            return True
        start = text.find(word, start + 1)
    return False


def images(value: Any) -> list[str]:
    """The address of every image inside a request or an answer, in their order: https://… or data:…"""
    if isinstance(value, list):
        return [found for item in value for found in images(item)]
    if not isinstance(value, dict):
        return []
    own = _image(value)
    return [own] if own else [found for item in value.values() for found in images(item)]


def _image(part: dict[Any, Any]) -> str:
    """The address that a part of a message is, or the image that a model has made; "" if it is none."""
    kind = part.get("type")
    if kind == "image_generation_call":
        made = part.get("result")
        return f"data:image/{part.get('output_format') or 'png'};base64,{made}" if made else ""
    held = part.get("image_url") if kind in SHOWING else None
    address = held.get("url") if isinstance(held, dict) else held
    return address if isinstance(address, str) else ""


def pieces(text: str) -> list[str]:
    """``text`` in pieces of ``PIECE`` characters at most, which overlap."""
    step = PIECE - OVERLAP
    return [text[at : at + PIECE] for at in range(0, max(1, len(text) - OVERLAP), step)]


def texts(value: Any) -> str:
    """Every text inside a request or an answer, a line each; of an image that is sent along, none."""
    found: list[str] = []
    level = [value]
    while level:
        item = level.pop()
        if isinstance(item, str):
            found.append(item)
        elif isinstance(item, dict):
            if not _image(item).startswith("data:"):
                level.extend(item.values())
        elif isinstance(item, list):
            level.extend(item)
    return "\n".join(reversed(found))
