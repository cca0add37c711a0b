"""What the admin's pages do while somebody types: a price is counted, a reason is asked for."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from ai_providers.models import AIModel
from megahub.kernel import clock
from megahub.tenancy.models import User
from tests import world
from tests.browser.conftest import Window
from tests.browser.looking import shoot
from tests.world import RUN, Cast

#: A model of the catalogue that no other test overrides.
MODEL = "gpt-4.1-nano"


@pytest.fixture
def root(live_url: str) -> User:
    return User.objects.create_superuser(f"types-{RUN}-{clock.now().timestamp()}")


def test_a_price_is_counted_while_it_is_typed(window: Window, root: User) -> None:
    row = AIModel.objects.create(model_id=MODEL)
    try:
        page = window("en-US", root)
        page.goto(f"/admin/ai_providers/aimodel/{row.pk}/change/")
        preview = page.locator("[data-hub-preview]")

        page.fill("input[name=price_since]", str(clock.now().date()))
        page.fill("input[name=input_price]", "0.5")
        page.fill("input[name=output_price]", "1.5")
        expect(preview).to_contain_text("0.002 USD")
        shoot(page, "override-typed")
        page.fill("input[name=output_price]", "-1")
        expect(preview).to_contain_text("A price cannot be negative.")

        row.refresh_from_db()
        assert (row.input_price, row.output_price) == (None, None)
    finally:
        row.delete()


def test_an_action_asks_why(window: Window, root: User, cast: Cast) -> None:
    job = world.submit(cast.alice, later=True)
    page = window("en-US", root)
    page.goto(f"/admin/ai_core/aijob/?q={world.row(job).job_id}")

    page.locator("input[name=_selected_action]").check()
    why = page.locator("#changelist-actions input[name=audit_reason]")
    expect(why).to_be_hidden()
    page.locator("#changelist-actions select[name=action]").select_option("cancel")
    expect(why).to_be_visible()
    why.fill("made by mistake")
    shoot(page, "action-reason")
    page.locator("#changelist-actions button[type=submit]").click()

    expect(page.locator("body")).to_contain_text("1 job cancelled.")
    assert world.row(job).status == "cancelled"
