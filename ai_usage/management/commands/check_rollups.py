"""``check_rollups [--by-day]``: compare the rollups with ledger and jobs; fails when they differ."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ai_usage.services import rollups


class Command(BaseCommand):
    help = "Say where the rollups differ from ledger and jobs and by how much; exits with 1 when they do."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--by-day", action="store_true", help="compare every day, not only the sums")

    def handle(self, *args: Any, **options: Any) -> None:
        found = rollups.check(by_day=options["by_day"])
        for off in found:
            figures = ", ".join(f"{name} {amount:+d}" for name, amount in off.figures.items())
            where = f"company {off.company_id} {off.day or ''} {off.provider} {off.model}"
            self.stdout.write(f"{where}{' (sandbox)' if off.sandbox else ''}: {figures}")
        if found:
            raise CommandError(f"{len(found)} rollups differ from the ledger.")
        self.stdout.write("The rollups say what the ledger and the jobs say.")
