"""The admin's French leaves no English word: what a page calls things differs in the two languages."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from django.test import Client

from tests.each import addresses

#: Where the admin speaks for itself: pages, columns, fields, filters, buttons.
SPOKEN = {"h1", "h2", "h3", "legend", "label", "th", "button", "summary", "option"}
VOID = {"input", "img", "br", "hr", "meta", "link", "rect", "path"}
NOT_OURS = {"hub-document", "material-symbols-outlined"}
#: The same in both languages.
ALIKE = set(
    """MEGAHUB API OpenAI USD Infomaniak Anthropic Google Type Message Description Score Action Tokens
    Minute Image Total Agent Code Note Budget Budgets Source Phase Route Format Position Notes
    Jobs""".split()
)
#: Names, numbers, ids: nobody's language.
NAMES = re.compile(r"[\d_/@.]|^\W*$|^[A-Z]{2,}$")


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


def words(client: Client, address: str, language: str) -> set[str]:
    response = client.get(address, headers={"Accept-Language": language})
    assert response.status_code == 200, address
    parser = Words()
    parser.feed(response.text)
    return parser.found


def test_it_works(root: Client, one_of_each: None) -> None:
    left = {}
    for name, address in addresses():
        both = words(root, address, "en") & words(root, address, "fr")
        if same := {text for text in both - ALIKE if not NAMES.search(text)}:
            left[name] = sorted(same)

    assert left == {}
