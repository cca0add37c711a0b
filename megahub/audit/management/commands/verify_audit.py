"""``verify_audit``: is every change still in the trail as it was written?"""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from megahub.audit.services import anchors, verifying


class Command(BaseCommand):
    help = (
        "Read every chain of the audit trail from its first entry to its head and say what was edited,"
        " taken out, moved or cut off, also against the heads that are anchored outside the database"
        " (HUB_AUDIT_ANCHORS). Sound heads are anchored. Ends with an error when something is wrong."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--company", type=int, help="number of one company; 0 for the hub's own chain")

    def handle(self, *args: Any, **options: Any) -> None:
        found = verifying.verify(options["company"])
        for fault in found.faults:
            self.stdout.write(str(fault))
        self.stdout.write(f"{found.entries} entries in {found.chains} chains, {len(found.faults)} faults.")
        if found.faults:
            raise CommandError(f"The audit trail is not whole: {len(found.faults)} faults.")
        if options["company"] is None:
            anchors.drop()
