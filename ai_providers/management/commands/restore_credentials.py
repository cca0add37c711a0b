"""``restore_credentials --input FILE``: what ``backup_credentials`` wrote."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from ai_providers.services import backup
from megahub.kernel import trail


class Command(BaseCommand):
    help = (
        "Bring back the provider keys of a backup, for companies of the same slug; repeatable. A key in use"
        " stays in use unless --replace is given. Needs the master key under which the backup was made."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--input", type=Path, required=True, metavar="FILE")
        parser.add_argument("--replace", action="store_true", help="the backup's keys and settings win")

    @trail.recorded("credentials.restore", "replace", atomic=True)
    def handle(self, *args: Any, **options: Any) -> None:
        try:
            raw = options["input"].read_bytes()
        except OSError as error:
            raise CommandError(f"{options['input']}: {error.strerror}.") from error
        try:
            done = backup.restore(raw, replace=options["replace"])
        except (backup.Unreadable, ImproperlyConfigured) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{done.restored} keys restored, {done.known} were there.")
        for why, names in (
            ("another key is in use (--replace)", done.in_use),
            ("there is no such company", done.without_company),
            ("it does not open", done.unopened),
        ):
            for name in names:
                self.stdout.write(f"{name}: left out, {why}.")
