"""``make_master_key``: a fresh key for AI_ENCRYPTION_KEY."""

from __future__ import annotations

import os
import re
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from megahub.kernel import clock, vault

KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,40}")


class Command(BaseCommand):
    help = (
        "Make a master key (id:base64) for AI_ENCRYPTION_KEY. To rotate, put the new one first, keep the"
        " old one behind a comma, and run rotate_master_key."
    )
    # It is needed before there is a key that the checks would accept.
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--id", help="what the key is called; by default the day")
        parser.add_argument("--write", type=Path, metavar="FILE", help="write it to a new file instead")

    def handle(self, *args: Any, **options: Any) -> None:
        key_id = options["id"] or f"{clock.now():%Y-%m-%d}"
        if not KEY_ID.fullmatch(key_id):
            raise CommandError("An id has 1 to 40 letters, digits, dots, dashes or underscores.")
        key = vault.new_master_key(key_id)
        if options["write"] is None:
            self.stdout.write(key)
            return
        write_new(options["write"], f"{key}\n")
        self.stdout.write(f"Master key {key_id} is in {options['write']}.")


def write_new(path: Path, text: str) -> None:
    """A new file that only its owner can read. Raises CommandError when there is one already."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}.") from error
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
