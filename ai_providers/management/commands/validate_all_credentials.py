"""``validate_all_credentials``: every stored key, tried at its provider."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from ai_providers.management import companies
from ai_providers.services import connections
from megahub.kernel import trail
from megahub.kernel.errors import InvalidApiKey


class Command(BaseCommand):
    help = (
        "Try every company's keys that are in use with a free call, a few at a time; one that the provider"
        " refuses is marked, one that it takes is cleared. Ends with an error when one was refused."
    )

    @trail.recorded("credentials.validate")
    def handle(self, *args: Any, **options: Any) -> None:
        found = companies.run(connections.all_stored())
        refused = 0
        for key, probe in found:
            refused += isinstance(probe.error, InvalidApiKey)
            name = f"{key.company.slug} {key.provider} …{key.last_four}"
            self.stdout.write(f"{name}: {companies.line(probe)}")
        sound = sum(probe.error is None for _, probe in found)
        self.stdout.write(f"{len(found)} keys: {sound} sound, {refused} refused.")
        if refused:
            raise CommandError(f"{refused} keys were refused by their providers.")
