"""Pages work under their Content-Security-Policy: what it refuses is told on the console: a fault."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from megahub.tenancy.models import User
from tests.browser.conftest import Window
from tests.browser.looking import shoot
from tests.world import RUN, Cast


def test_the_documents_page(window: Window) -> None:
    page = window()

    page.goto("/docs/")

    expect(page.locator(".opblock").first).to_be_visible()
    shoot(page, "docs")


@pytest.mark.parametrize("path", ["/admin/", "/admin/tenancy/company/", "/admin/tenancy/apikey/add/"])
def test_the_admin(window: Window, cast: Cast, path: str) -> None:
    user = User.objects.create_superuser(f"policies-{RUN}-{len(path)}", password="correct horse")
    page = window(user=user)

    page.goto(path)

    expect(page.locator("#page").first).to_be_visible()
