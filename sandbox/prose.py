"""The words of an answer: an echo of what was asked, then filler chosen by a hash."""

import hashlib
import random

import orjson

from sandbox import prompts, tokens

ECHO_CHARS = 400

_WORDS = (
    "river stone light morning answer quiet paper window bridge garden number letter winter "
    "summer harbour engine ladder signal market village copper silver measure balance journey "
    "pattern shadow simple steady gentle bright careful distant hollow narrow open plain round "
    "carry follow gather hold listen mend offer reach settle turn"
)
# Long enough that two answers seldom begin at the same word, made once so that an answer of any
# length is a slice of it.
_CORPUS = " ".join(random.Random(20261120).choices(_WORDS.split(), k=8192)) + " "


def digest(*facts: object) -> bytes:
    """Twelve bytes that depend on nothing but the facts."""
    return hashlib.blake2b(orjson.dumps(facts), digest_size=12).digest()


def number(seed: bytes) -> int:
    return int.from_bytes(seed[:6], "big")


def answer(model: str, asked: str, seed: int) -> str:
    """The answer to a user's text: of `[tokens=N]` tokens exactly, else of a plausible length."""
    echo = prompts.without_directives(asked)[:ECHO_CHARS]
    opening = f"[sandbox] {model} echoes: {echo}"
    target = prompts.wanted_tokens(asked) or tokens.count(opening) + 16 + seed % 48
    return lengthen(opening + ". ", target, seed)


def lengthen(opening: str, target: int, seed: int) -> str:
    """A text of exactly `target` tokens that starts like `opening` and ends with a full stop."""
    chars = target * tokens.CHARS_PER_TOKEN
    text = (opening + filler(seed, chars - len(opening)))[:chars]
    return text if target < 2 else text[:-1] + "."


def filler(seed: int, chars: int) -> str:
    if chars <= 0:
        return ""
    start = _CORPUS.find(" ", seed % (len(_CORPUS) - 100)) + 1
    rounds = 1 + (start + chars) // len(_CORPUS)
    return (_CORPUS * rounds)[start : start + chars]
