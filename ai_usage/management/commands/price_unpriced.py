"""``price_unpriced``: price what was used while its model had no price."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from ai_usage.services import repricing
from megahub.kernel import money, trail


class Command(BaseCommand):
    help = "Price unpriced usage whose price is known by now, and correct the budgets; repeatable."

    @trail.recorded("usage.price")
    def handle(self, *args: Any, **options: Any) -> None:
        lines = repricing.price_unpriced()
        for line in lines:
            self.stdout.write(report(line))
        jobs, left = sum(line.jobs for line in lines), sum(line.left for line in lines)
        self.stdout.write(f"{jobs} jobs priced, {left} left without a price.")


def report(line: repricing.Line) -> str:
    """A model's line: how many jobs, what they had been charged, what they cost, the difference."""
    before, after = line.before_nano_usd, line.after_nano_usd
    shown = f"{money.show(before)} -> {money.show(after)} USD ({money.show(after - before)})"
    left = f", {line.left} left without a price" if line.left else ""
    return f"{line.model}: {line.jobs} jobs, {shown}{left}"
