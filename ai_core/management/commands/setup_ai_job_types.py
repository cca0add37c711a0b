"""``setup_ai_job_types``: the job types that clients know."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from ai_core.services import types
from megahub.kernel import trail


class Command(BaseCommand):
    help = "Add the job types that are missing; repeatable. What an administrator changed stays."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--reset", action="store_true", help="put changed ones back as the code has them"
        )

    @trail.recorded("job_types.set_up", "reset", atomic=True)
    def handle(self, *args: Any, **options: Any) -> None:
        for name, outcome in types.provide(reset=options["reset"]).items():
            self.stdout.write(f"{name}: {outcome}")
