"""What is watched while a page is looked at, and its screenshot."""

from __future__ import annotations

import os
from pathlib import Path

from playwright.sync_api import ConsoleMessage, Page, Request, Response

#: What a page leaves behind is broken off, which is no fault.
BROKEN_OFF = "net::ERR_ABORTED"


def watch(page: Page, url: str, faults: list[str]) -> None:
    """Write down what goes wrong on a page, a request to anywhere but ``url`` too."""

    def console(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            faults.append(f"{page.url}: console: {message.text}")

    def failed(request: Request) -> None:
        if request.failure != BROKEN_OFF:
            faults.append(f"{page.url}: {request.url}: {request.failure}")

    def answered(response: Response) -> None:
        if response.status >= 500:
            faults.append(f"{page.url}: {response.url}: {response.status}")

    def asked(request: Request) -> None:
        if not request.url.startswith((url, "data:", "blob:")):
            faults.append(f"{page.url}: asks {request.url}")

    page.on("console", console)
    page.on("pageerror", lambda error: faults.append(f"{page.url}: script: {error}"))
    page.on("requestfailed", failed)
    page.on("response", answered)
    page.on("request", asked)


def shoot(page: Page, name: str, *, whole: bool = True) -> None:
    """Keep a screenshot as ``name``.png where PYTEST_SHOTS says; nothing without it."""
    if folder := os.environ.get("PYTEST_SHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=whole)
