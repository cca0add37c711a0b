"""Every page of the admin in a browser, in English and in French: it opens, says nothing on the console,
and its French leaves no English word."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib import admin
from django.urls import reverse
from playwright.sync_api import Page

from megahub.tenancy.models import User
from tests.browser.conftest import Window
from tests.browser.looking import shoot
from tests.world import RUN

MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label_lower)
#: Where the admin speaks for itself: what it calls pages, columns, fields, filters, buttons.
WORDS = """() => {
    const spoken = "h1, h2, h3, legend, label, th, button, summary, nav a, .help, #nav-sidebar a,"
        + " #changelist-filter *, #changelist-filter-modal *, option, .readonly-label";
    const found = new Set();
    for (const element of document.querySelectorAll(spoken))
        for (const node of element.childNodes)
            if (node.nodeType === Node.TEXT_NODE && node.textContent.trim())
                if (!element.closest(".hub-document, .material-symbols-outlined, [data-own]"))
                    found.add(node.textContent.trim().replace(/\\s+/g, " "));
    return [...found];
}"""
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
    if admin.site._registry[model].__class__.has_add_permission.__qualname__.startswith(
        ("BaseModel", "ModelA")
    ):
        found.append(("add", reverse(f"admin:{name}_add")))
    return found


def words(page: Page, address: str) -> set[str]:
    response = page.goto(address, wait_until="domcontentloaded")
    assert response is not None
    assert response.status == 200, address
    return set(page.evaluate(WORDS))


@pytest.fixture
def root(sandbox_url: str) -> User:
    found: User = User.objects.create_superuser(f"walker-{RUN}", password="correct horse")
    return found


@pytest.mark.timeout(300)
def test_every_page(window: Window, root: User, one_of_each: None) -> None:
    english, french = window("en-US", root), window("fr-FR", root)
    left: dict[str, set[str]] = {}

    for model in MODELS:
        for which, address in addresses(model):
            name = f"{model._meta.model_name}-{which}"
            both = words(english, address) & words(french, address)
            shoot(english, f"{name}-en", whole=False)
            shoot(french, f"{name}-fr", whole=False)
            if same := {text for text in both - ALIKE if not NAMES.search(text)}:
                left[name] = same

    assert left == {}
