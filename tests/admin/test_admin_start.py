"""The start page: figures of all companies from rollups, for those who may see usage."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.test import Client

from ai_usage.models import AIUsageAlert, UsageRollup
from ai_usage.selectors import overview
from megahub.kernel import charts, clock
from megahub.kernel.charts import Column
from tests.world import Cast

NANO = 10**9


def rolled(cast: Cast, days_ago: int, **figures: Any) -> None:
    """A rollup of one of the last days."""
    day = clock.now().date() - timedelta(days=days_ago)
    known = {"company": cast.company, "day": day, "sandbox": False, "brand_id": 0}
    UsageRollup.objects.unscoped().create(**known, provider="openai", model="start-model", **figures)


def test_it_works(root: Client, cast: Cast) -> None:
    def told() -> tuple[dict[str, int], int]:
        day = clock.now().date() - timedelta(days=3)
        (found,) = overview.days(day, day, sandbox=False)
        return {name: found[name] for name in overview.SUMS}, overview.open_alerts().get("critical", 0)

    before, alerts = told()
    rolled(cast, 3, cost_nano_usd=2 * NANO, jobs=9, succeeded=5, failed=2, timeouts=1, cancelled=1)
    rolled(cast, 40, cost_nano_usd=NANO, jobs=1)
    AIUsageAlert.objects.unscoped().create(
        company=cast.company, alert_type="cost_warning", severity="critical", message="Look here",
        window_start=clock.now().date(),
    )  # fmt: skip

    after, alerts_after = told()
    assert {name: after[name] - before[name] for name in after} == {
        "cost_nano_usd": 2 * NANO, "jobs": 9, "succeeded": 5, "failed": 2, "timeouts": 1, "cancelled": 1,
    }  # fmt: skip
    assert alerts_after - alerts == 1
    page = root.get("/admin/").context["hub"]
    assert page["sandbox"] is False
    assert [chart["title"] for chart in page["charts"]] == [
        "Cost per day", "Jobs per day", "Failures per day",
    ]  # fmt: skip
    assert [message for _, company, message in page["latest"] if company == str(cast.company)] == [
        "Look here"
    ]


def test_played_usage_is_apart(root: Client, cast: Cast) -> None:
    assert root.get("/admin/?sandbox=1").context["hub"]["sandbox"] is True


def test_who_may_not_see_usage_sees_none(staff: Callable[..., Client]) -> None:
    assert "hub" not in staff("view_aijob").get("/admin/").context
    assert "alerts" not in staff("view_usagerollup").get("/admin/").context["hub"]


def test_columns_are_whole_and_what_is_there_is_seen() -> None:
    drawn = charts.columns(
        "c", [Column("<b>", [("good", 1000), ("bad", 1)]), Column("none", [("good", 0)])]
    )

    assert 'viewBox="0 0 36 120"' in drawn
    assert "&lt;b&gt;" in drawn
    assert '<rect x="0" y="0" width="16" height="120" class="hub-fill-good"/>' in drawn
    assert 'height="1" class="hub-fill-bad"' in drawn
    assert '<rect x="20" y="120" width="16" height="0" class="hub-fill-good"/>' in drawn
    assert "style" not in drawn


def test_a_bar_ends_where_the_whole_does() -> None:
    drawn = charts.bar("b", [("cost", 60), ("held", 60)], 100)

    assert '<rect x="0" width="600" height="8" class="hub-fill-cost"/>' in drawn
    assert '<rect x="600" width="400" height="8" class="hub-fill-held"/>' in drawn
