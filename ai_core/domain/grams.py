"""Which runs of four characters texts hold, in a signature that may err on one side only.

A text that holds another, in upper or lower case, holds all of its runs: what lacks one need not be looked
into. Characters are folded until nothing that a database may take for the same is told apart: not in what
case they are (by any locale's rules), nor which accents they carry; the rest is hashed to a byte. What is
asked for is cut where one character may become several in another case (``ß``), or may be given a case by
a later Unicode. The signature is a Bloom filter of 32-bit words, two bits for each run, both in one word.
"""

from __future__ import annotations

import re
import struct
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

GRAM = 4
#: Runs for each word of 32 bits: as many bits as keep one in twenty absent runs from being told as absent.
PER_WORD = 4
LEAST_WORDS, MOST_WORDS = 16, 2**14
#: At most so many runs of a question are looked for.
MOST_ASKED = 16
ASCII, BYTE, KEPT = 128, 256, 20_000
WORD_BITS, MASK = 32, 2**32 - 1
MARKS = re.compile(r"[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]")
CASED = frozenset(("Lu", "Ll", "Lt"))


class _Folded(dict[int, str]):
    """{code point: the byte that stands for its class, as a character}."""

    def __missing__(self, point: int) -> str:
        found = _byte(chr(point))
        if len(self) < KEPT:
            self[point] = found
        return found


def _byte(character: str) -> str:
    plain = unicodedata.normalize("NFD", character.upper().lower())[:1]
    base = unicodedata.normalize("NFD", plain.upper().lower())[:1]
    point = ord(base)
    return base if point < ASCII else chr(ASCII + point % (BYTE - ASCII))


FOLDED = _Folded()


def fold(text: str) -> bytes:
    """A byte for each character; the same for what may be the same in another case."""
    if text.isascii():
        return text.lower().encode()
    return text.translate(FOLDED).encode("latin-1")


def is_odd(character: str) -> bool:
    """Whether another case of it may be several characters, none, or one that is not known yet."""
    if character.isascii():
        return False
    cases = (character.upper(), character.lower(), character.title(), character.casefold())
    category = unicodedata.category(character)
    if any(len(each) != 1 for each in cases) or category in ("Cn", "Mn", "Mc", "Me"):
        return True
    return category in CASED and set(cases) == {character}


def grams(text: str) -> set[int]:
    """The runs of a text, of each way in which a database may write it in capitals."""
    found = _runs(fold(text))
    if not text.isascii():
        capital = text.upper()
        if len(capital) != len(text):
            found |= _runs(fold(capital))
        if MARKS.search(capital):
            found |= _runs(fold(MARKS.sub("", text))) | _runs(fold(MARKS.sub("", capital)))
    return found


def _runs(folded: bytes) -> set[int]:
    found: set[int] = set()
    for shift in range(GRAM):
        number = (len(folded) - shift) // GRAM
        if number > 0:
            found.update(struct.unpack_from(f"<{number}I", folded, shift))
    return found


@dataclass(frozen=True, slots=True)
class Bits:
    """Where a run stands: word ``spread`` modulo the number of words, and two bits there."""

    spread: int
    first: int
    second: int

    @classmethod
    def of(cls, gram: int) -> Bits:
        return cls(*_place(gram))

    @property
    def mask(self) -> int:
        return 1 << self.first | 1 << self.second


def _place(gram: int) -> tuple[int, int, int]:
    spread = gram * 0x9E3779B1 & MASK
    spread = (spread ^ spread >> 15) * 0x85EBCA77 & MASK
    other = (gram ^ gram >> 16) * 0xC2B2AE3D & MASK
    first = other >> 27
    return spread ^ spread >> 13, first, (first + 1 + (other >> 17 & 1023) % (WORD_BITS - 1)) % WORD_BITS


def asked(text: str) -> list[Bits]:
    """What a signature must have of a text that holds this one; nothing where it may be any."""
    parts = "".join("\0" if is_odd(each) else each for each in text).split("\0")
    found = sorted({gram for part in parts for gram in _runs(fold(part))})
    step = max(1, -(-len(found) // MOST_ASKED))
    return [Bits.of(gram) for gram in found[::step]]


def signature(found: set[int]) -> bytes:
    """The signature of runs."""
    words = min(max(LEAST_WORDS, -(-len(found) // PER_WORD)), MOST_WORDS)
    cells = [0] * words
    for gram in found:
        spread, first, second = _place(gram)
        cells[spread % words] |= 1 << first | 1 << second
    return struct.pack(f"<{words}I", *cells)


def holds(words: Iterable[bytes], bits: Iterable[Bits]) -> bool:
    """Whether each of the words, one for each run, has the run's bits."""
    return all(
        int.from_bytes(word, "little") & each.mask == each.mask
        for word, each in zip(words, bits, strict=True)
    )


def words_of(made: bytes, bits: Iterable[Bits]) -> Iterator[bytes]:
    """The signature's words in which the runs stand."""
    number = len(made) // 4
    for each in bits:
        place = each.spread % number * 4
        yield made[place : place + 4]
