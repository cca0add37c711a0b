"""Messages that can be said in another language (a template and its words); inert cells. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

#: What a spreadsheet may take for the beginning of a formula, ASCII and fullwidth.
STARTS = frozenset("=+-@\uff1d\uff0b\uff0d\uff20")
#: Space, and signs without width, that some spreadsheets skip before it (Python strips them not all).
UNSEEN = "".join(
    chr(code) for code in (*range(0x21), 0x7F, 0x85, 0xA0, 0xAD, 0x3000, 0xFEFF, 0x2060)
) + "".join(chr(code) for code in range(0x2000, 0x2010))
#: At the very beginning these are refused whatever follows.
BLANK_STARTS = frozenset("\t\r\n")


def inert(text: str) -> str:
    """``text`` as a CSV cell that no spreadsheet runs."""
    if text[:1] in BLANK_STARTS or (not STARTS.isdisjoint(text) and _may_run(text)):
        return f"'{text}"
    return text


def _may_run(text: str) -> bool:
    """Whether a line of it begins like a formula; in time that grows with its length alone."""
    return any(line.lstrip(UNSEEN)[:1] in STARTS for line in text.splitlines())


def subject_line(text: str) -> str:
    """A mail's subject: one line, of a length that is kept."""
    return " ".join(text.split())[:200]


#: In a stored text: here stands what only its reader may see.
SECRET_MARK = "\N{BULLET}" * 12


class Words(dict[str, Any]):
    """Facts as words: lists are joined, a missing name stays visible instead of failing."""

    def __missing__(self, key: str) -> str:
        return "{" + key + "}"

    def __getitem__(self, key: str) -> Any:
        value = super().__getitem__(key)
        return ", ".join(map(str, value)) if isinstance(value, list | tuple) else value


class Text(str):
    """A message for a field: the English text, which remembers how to be said in another language."""

    template: str
    words: dict[str, Any]

    def __new__(cls, template: str, **words: Any) -> Text:
        text = super().__new__(cls, template.format_map(Words(words)))
        text.template = template
        text.words = words
        return text

    def said(self, template: str) -> str:
        """The same with ``template``, the translation of its own."""
        return template.format_map(Words(self.words))


def said(text: str, translate: Callable[[str], str]) -> str:
    """A ``Text`` in the language of ``translate`` (gettext of it); any other string as it is."""
    return text.said(translate(text.template)) if isinstance(text, Text) else text
