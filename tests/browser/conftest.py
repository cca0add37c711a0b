"""Pages in a real browser: Chromium on the live server, nothing else reachable, no fault forgiven.

``page`` is an English window, ``window("fr-FR")`` opens others. What a page says on the console, an
error of its scripts, a request that fails or goes elsewhere, and a 5xx make the test fail at its end.
``PYTEST_SHOTS=folder`` keeps the screenshots that tests take (``shoot``); see README, "Tests".
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import Browser, Page, sync_playwright

from megahub.tenancy.models import User
from tests.browser import looking
from tests.each import one_of_each  # noqa: F401 - a fixture
from tools import browser as browsers

Window = Callable[..., Page]
#: Root runs it, in CI; and it finds no host but this one.
ARGUMENTS = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """The machine's Chromium; CI has one (``./hub browser``), elsewhere its tests are left out."""
    found = browsers.found()
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("CI has no Chromium: ./hub browser")
        pytest.skip("no Chromium: ./hub browser")
    return found


@pytest.fixture(scope="module")
def browser(chromium_path: str, live_url: str) -> Iterator[Browser]:
    """Chromium without a window. While it runs this thread has a running event loop (Playwright's), so
    that Django has to be told that its ORM may be used here."""
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        running = playwright.chromium.launch(executable_path=chromium_path, args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture
def window(browser: Browser, live_url: str) -> Iterator[Window]:
    """``window(locale, user)``: a window of its own, signed in as ``user`` if one is given."""
    opened = []
    faults: list[str] = []

    def new(locale: str = "en-US", user: User | None = None, width: int = 1440, height: int = 900) -> Page:
        context = browser.new_context(
            base_url=live_url, locale=locale, viewport={"width": width, "height": height}
        )
        context.set_default_timeout(10_000)
        opened.append(context)
        if user is not None:
            client = Client()
            client.force_login(user)
            name = settings.SESSION_COOKIE_NAME
            context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": live_url}])
        page = context.new_page()
        looking.watch(page, live_url, faults)
        return page

    yield new
    for context in opened:
        context.close()
    assert faults == []


@pytest.fixture
def page(window: Window) -> Page:
    """A window in English."""
    return window()
