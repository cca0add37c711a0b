"""Messages that can be said in another language: an English template and the words that fill it. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


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
