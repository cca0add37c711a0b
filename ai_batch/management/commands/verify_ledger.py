"""``verify_ledger``: whether budgets, jobs, ledger and rollups say the same; fails when they do not."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from ai_batch.services import verification


class Command(BaseCommand):
    help = "Say which invariants of the money do not hold, where and by how much; exits with 1 then."

    def handle(self, *args: Any, **options: Any) -> None:
        found = verification.verify()
        for off in found:
            self.stdout.write(str(off))
        if found:
            raise CommandError(f"{len(found)} figures are off.")
        self.stdout.write("I1 to I4 hold, and the rollups say what the ledger says.")
