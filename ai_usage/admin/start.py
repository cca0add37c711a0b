"""The admin's start page: what was spent, what ran, what failed, what asks for attention."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.http import HttpRequest
from django.utils.formats import date_format, localize
from django.utils.translation import gettext

from ai_usage.models import AIUsageAlert
from ai_usage.selectors import overview
from megahub.kernel import charts, clock
from megahub.kernel.admin import link, page, usd
from megahub.kernel.charts import Column

DAYS = 30
SEVERITIES = {"critical": "bad", "warning": "held", "info": "idle"}


def figures(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Unfold's ``DASHBOARD_CALLBACK``: nothing for who may not see usage."""
    if not request.user.has_perm("ai_usage.view_usagerollup"):
        return context
    sandbox = request.GET.get("sandbox") == "1"
    today = clock.now().date()
    first = today - timedelta(days=DAYS - 1)
    days = overview.days(first, today, sandbox=sandbox)
    context["hub"] = {
        "sandbox": sandbox,
        "days": DAYS,
        "first": first,
        "last": today,
        "cards": _cards(days),
        "charts": _charts(days),
        "ranks": [
            (title, _ranks(overview.dearest(first, today, column, sandbox=sandbox)))
            for title, column in (
                (gettext("Companies by cost"), "company__name"),
                (gettext("Models by cost"), "model"),
            )
        ],
    }
    if request.user.has_perm("ai_usage.view_aiusagealert"):
        context["hub"] |= {"alerts": _alerts(), "latest": _latest()}
    return context


def _cards(days: list[dict[str, Any]]) -> list[tuple[str, Any, str]]:
    """(what, how much, a word on today)."""
    last = days[-1]
    jobs, failures = sum(day["jobs"] for day in days), sum(map(_failures, days))
    today = gettext("%s today")
    return [
        (
            gettext("Cost"),
            usd(sum(day["cost_nano_usd"] for day in days)),
            today % usd(last["cost_nano_usd"]),
        ),
        (gettext("Jobs"), localize(jobs), today % localize(last["jobs"])),
        (gettext("Failures"), localize(failures), today % localize(_failures(last))),
        (gettext("Failure rate"), _share(failures, jobs), today % _share(_failures(last), last["jobs"])),
    ]


def _charts(days: list[dict[str, Any]]) -> list[dict[str, Any]]:
    keys = [("good", gettext("Completed")), ("bad", gettext("Failed")), ("idle", gettext("Cancelled"))]

    def drawn(title: str, told: Any, parts: Any, keys: Any = ()) -> dict[str, Any]:
        columns = [Column(f"{date_format(day['day'])}: {told(day)}", parts(day)) for day in days]
        return {"title": title, "svg": charts.columns(title, columns), "keys": keys}

    return [
        drawn(
            gettext("Cost per day"),
            lambda day: usd(day["cost_nano_usd"]),
            lambda day: [("cost", day["cost_nano_usd"])],
        ),
        drawn(
            gettext("Jobs per day"),
            lambda day: localize(day["jobs"]),
            lambda day: [("good", day["succeeded"]), ("bad", _failures(day)), ("idle", day["cancelled"])],
            keys,
        ),
        drawn(
            gettext("Failures per day"),
            lambda day: f"{localize(_failures(day))} ({_share(_failures(day), day['jobs'])})",
            lambda day: [("bad", _failures(day))],
        ),
    ]


def _failures(day: dict[str, Any]) -> int:
    return int(day["failed"] + day["timeouts"])


def _share(part: int, whole: int) -> str:
    return f"{localize(round(100 * part / whole, 1))} %" if whole else "–"


def _ranks(rows: list[tuple[str, int]]) -> list[tuple[str, Any, Any]]:
    most = max((cost for _, cost in rows), default=0)
    return [(name, charts.bar(name, [("cost", cost)], most), usd(cost)) for name, cost in rows]


def _alerts() -> list[tuple[Any, Any, int]]:
    """Open alerts by severity: (in words, its bar, how many)."""
    counts = overview.open_alerts()
    most = max(counts.values(), default=0)
    words = dict(AIUsageAlert.Severity.choices)
    return [
        (
            words[name],
            charts.bar(str(words[name]), [(colour, counts.get(name, 0))], most),
            counts.get(name, 0),
        )
        for name, colour in SEVERITIES.items()
    ]


def _latest() -> list[tuple[Any, str, str]]:
    return [
        (
            link(page(AIUsageAlert, row.pk), row.get_alert_type_display()),
            str(row.company or "–"),
            row.message,
        )
        for row in overview.latest_alerts()
    ]
