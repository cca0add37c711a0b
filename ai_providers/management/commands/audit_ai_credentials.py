"""``audit_ai_credentials --rotate-expired``: what is wrong with the stored keys."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from ai_providers.services import audit
from megahub.kernel import trail, vault

MAX_AGE_DAYS = 90


class Command(BaseCommand):
    help = (
        "List every company's keys that are in use with what is wrong with them: refused by the provider,"
        " too old, not to be opened, under an old master key. --rotate-expired does what the hub can do by"
        " itself: it wraps data keys under the present master key, and retires keys that their providers"
        " refuse (run validate_all_credentials first). It retires no key for its age, since only people"
        " can make a new one at the provider; and not a company's last key where its jobs would then be"
        " answered by the sandbox."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--max-age-days", type=int, default=MAX_AGE_DAYS)
        parser.add_argument("--rotate-expired", action="store_true")

    @trail.recorded("credentials.rotate", "max_age_days", atomic=True, when="rotate_expired")
    def handle(self, *args: Any, **options: Any) -> None:
        days = options["max_age_days"]
        if days < 1:
            raise CommandError("--max-age-days is a whole number of days from 1.")
        try:
            self._list(days)
            if options["rotate_expired"]:
                self._rotate(days)
        except (vault.Sealed, ImproperlyConfigured) as error:
            raise CommandError(str(error)) from error

    def _list(self, days: int) -> None:
        rows = audit.look_over(days)
        for row in rows:
            key = row.key
            said = "; ".join(row.findings) or "nothing to say"
            self.stdout.write(
                f"{key.company.slug} {key.provider} …{key.last_four}, {row.age_days} days: {said}"
            )
        self.stdout.write(f"{len(rows)} keys, {sum(bool(row.findings) for row in rows)} with findings.")

    def _rotate(self, days: int) -> None:
        wrapped, retired, left = audit.rotate(days)
        self.stdout.write(f"{wrapped} data keys wrapped again.")
        for key in retired:
            self.stdout.write(f"{key.company.slug} {key.provider} …{key.last_four}: retired.")
        for key in left:
            name = f"{key.company.slug} {key.provider} …{key.last_four}"
            self.stdout.write(f"{name}: left, since the sandbox would answer in its place.")
