"""``backup_credentials --output FILE``: all stored keys in one sealed file."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from ai_providers.services import backup
from megahub.kernel import trail
from megahub.tenancy.management.commands.make_master_key import write_new


class Command(BaseCommand):
    help = (
        "Write every company's provider keys, those of the past too, to a new file that only its owner can"
        " read. It opens with the master key (AI_ENCRYPTION_KEY) alone: keep that elsewhere. Bring it back"
        " with restore_credentials."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--output", type=Path, required=True, metavar="FILE")

    @trail.recorded("credentials.back_up")
    def handle(self, *args: Any, **options: Any) -> None:
        try:
            raw, count = backup.make()
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from error
        write_new(options["output"], raw.decode() + "\n")
        self.stdout.write(f"{count} keys are in {options['output']}.")
