"""The admin's door in a browser: a name, a password, the start page; and out again."""

from __future__ import annotations

from datetime import timedelta

from playwright.sync_api import Page, expect

from ai_usage.models import UsageRollup
from megahub.kernel import clock
from megahub.tenancy.models import User
from tests.browser.conftest import Window
from tests.browser.looking import shoot
from tests.world import RUN, Cast


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


def test_the_start_page(window: Window, cast: Cast) -> None:
    today = clock.now().date()
    for ago in range(30):
        failed, jobs = ago % 4, 40 + 7 * (ago % 6)
        figures = {"jobs": jobs, "succeeded": jobs - failed - 1, "failed": failed, "cancelled": 1}
        figures["cost_nano_usd"] = (ago % 9 + 1) * 1_700_000_000
        UsageRollup.objects.unscoped().create(
            company=cast.company,
            day=today - timedelta(days=ago),
            sandbox=False,
            brand_id=0,
            provider="openai",
            model=("gpt-4o", "gpt-4o-mini", "o3")[ago % 3],
            **figures,
        )
    root = User.objects.create_superuser(f"start-{RUN}", password="correct horse")

    for locale, title in (("en-US", "Cost per day"), ("fr-FR", "Coût par jour")):
        page = window(locale, root)
        page.goto("/admin/")

        chart = page.get_by_role("img", name=title)
        expect(chart).to_be_visible()
        assert chart.locator("g").count() == 30
        assert page.locator(".hub-chart").count() == 3
        assert page.locator("[data-alerts] .hub-bar").count() == 3
        shoot(page, f"start-{locale}", whole=False)
