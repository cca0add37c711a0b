"""Every page of the admin in a browser, in English and in French: it opens, says nothing on the console,
and its French leaves no English word."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib import admin
from django.urls import reverse

from megahub.tenancy.models import User
from tests.browser.conftest import Window
from tests.browser.looking import shoot
from tests.each import ADDED
from tests.world import RUN

MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label_lower)
#: Where the admin speaks for itself: what it calls pages, columns, fields, filters, buttons.
WORDS = """(page) => {
    const spoken = "h1, h2, h3, legend, label, th, button, summary, #nav-sidebar a, option,"
        + " #changelist-filter *, .help";
    const found = new Set();
    for (const element of page.querySelectorAll(spoken))
        for (const node of element.childNodes)
            if (node.nodeType === Node.TEXT_NODE && node.textContent.trim())
                if (!element.closest(".hub-document, .material-symbols-outlined"))
                    found.add(node.textContent.trim().replace(/\\s+/g, " "));
    return [...found];
}"""
SEEN = f"() => ({WORDS})(document)"
#: The same page in the other language, as the server says it: it runs no other script.
TOLD = f"""async ([address, language]) => {{
    const answer = await fetch(address, {{headers: {{"Accept-Language": language}}}});
    if (answer.status !== 200) throw new Error(address + ": " + answer.status);
    return ({WORDS})(new DOMParser().parseFromString(await answer.text(), "text/html"));
}}"""
#: The same in both languages.
ALIKE = set(
    """MEGAHUB SHA-256 API OpenAI USD Infomaniak Anthropic Google Type Message Description Score Action
    Tokens tokens Minute Image Total Agent Code Note""".split()
)
#: Names, numbers, ids: nobody's language.
NAMES = re.compile(r"[\d_/@.]|^\W*$|^[A-Z]{2,}$")


def addresses(model: Any) -> list[tuple[str, str]]:
    """A model's pages: (which, address)."""
    name = model._meta.label_lower.replace(".", "_")
    row = model._default_manager.order_by("-pk").first()
    found = [("list", reverse(f"admin:{name}_changelist"))]
    found.append(("row", reverse(f"admin:{name}_change", args=[row.pk])))
    if model._meta.label_lower in ADDED:
        found.append(("add", reverse(f"admin:{name}_add")))
    return found


@pytest.fixture
def root(sandbox_url: str) -> User:
    found: User = User.objects.create_superuser(f"walker-{RUN}", password="correct horse")
    return found


@pytest.mark.timeout(300)
def test_every_page(window: Window, root: User, one_of_each: None) -> None:
    """Lists are walked in English, rows in French, each beside what the server says in the other."""
    english, french = window("en-US", root), window("fr-FR", root)
    left: dict[str, set[str]] = {}

    for model in MODELS:
        for which, address in addresses(model):
            name = f"{model._meta.model_name}-{which}"
            page, other = (english, "fr") if which == "list" else (french, "en")
            response = page.goto(address, wait_until="domcontentloaded")
            assert response is not None
            assert response.status == 200, address
            both = set(page.evaluate(SEEN)) & set(page.evaluate(TOLD, [address, other]))
            shoot(page, name, whole=False)
            if same := {text for text in both - ALIKE if not NAMES.search(text)}:
                left[name] = same

    assert left == {}
