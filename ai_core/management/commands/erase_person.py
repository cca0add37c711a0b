"""``erase_person --company acme --end-user 42``: the texts of what somebody sent go; figures stay."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from ai_core.management import people
from ai_core.services import forgetting
from megahub.kernel import trail


class Command(BaseCommand):
    help = (
        "Delete every text that was sent for one of a company's own users, or by one of its members."
        " Usage and costs stay, and so do a member's account and what the audit trail says of them."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        people.add_arguments(parser)

    @trail.recorded("person.erase", "company", "member")
    def handle(self, *args: Any, **options: Any) -> None:
        row = forgetting.erase_person(people.person(options), None)
        self.stdout.write(f"{row.jobs} jobs were emptied, {row.waiting} will be when they end.")
