"""The admin's French leaves no English word: nothing that has a French is said in English."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from django.test import Client
from django.utils.text import capfirst

from tests.each import addresses
from tests.world import Cast
from tools.messages import stored

#: Where the admin speaks for itself: pages, columns, fields, filters, buttons.
SPOKEN = {"h1", "h2", "h3", "legend", "label", "th", "button", "summary", "option"}
VOID = {"input", "img", "br", "hr", "meta", "link", "rect", "path"}
NOT_OURS = {"hub-document", "material-symbols-outlined"}


#: What is called so in any language: a model, a key.
NAMES = {"reasoning", "test"}


class Words(HTMLParser):
    """The texts of a page that are directly in what speaks."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self._open: list[tuple[str, bool]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            classes = (dict(attrs).get("class") or "").split()
            self._open.append((tag, bool(NOT_OURS & set(classes))))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        text = " ".join(data.split())
        if text and self._open and not any(other for _, other in self._open):
            inside = {tag for tag, _ in self._open[-2:]}
            if SPOKEN & inside or any(tag == "nav" for tag, _ in self._open):
                self.found.add(text)


def of_the_hub() -> dict[str, str]:
    """What the hub says, and its French, where that is another word; as a page shows them (capitalised)."""
    told = {message.id: message.string for message in stored() if isinstance(message.id, str)}
    return {capfirst(said): french for said, french in told.items() if capfirst(said) != capfirst(french)}


@pytest.mark.timeout(300)
def test_it_works(root: Client, one_of_each: Cast) -> None:
    left, english = {}, set(of_the_hub())
    for name, address in addresses():
        response = root.get(address, headers={"Accept-Language": "fr"})
        assert response.status_code == 200, address
        parser = Words()
        parser.feed(response.text)
        if same := {text for text in parser.found - NAMES if capfirst(text) in english}:
            left[name] = sorted(same)

    assert left == {}
