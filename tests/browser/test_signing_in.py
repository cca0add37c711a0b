"""The admin's door in a browser: a name, a password, the start page; and out again."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from megahub.tenancy.models import User
from tests.browser.looking import shoot
from tests.world import RUN


def test_it_works(page: Page) -> None:
    name = f"seen-{RUN}"
    User.objects.create_superuser(name, password="correct horse")

    page.goto("/admin/")
    expect(page).to_have_url("/admin/login/?next=/admin/")
    shoot(page, "login")
    page.fill("input[name=username]", name)
    page.fill("input[name=password]", "correct horse")
    page.keyboard.press("Enter")

    expect(page.locator("#nav-sidebar, #page").first).to_be_visible()
    expect(page).to_have_url("/admin/")
    page.goto("/admin/tenancy/company/")
    expect(page.locator("#changelist")).to_be_visible()
    shoot(page, "companies")
