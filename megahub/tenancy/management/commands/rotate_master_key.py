"""``rotate_master_key``: wrap every company's data key under the first configured master key."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from megahub.kernel import trail, vault
from megahub.tenancy import services


class Command(BaseCommand):
    help = "Wrap all data keys under the first key of AI_ENCRYPTION_KEY again; repeatable."

    @trail.recorded("master_key.rotate", atomic=True)
    def handle(self, *args: Any, **options: Any) -> None:
        try:
            count = services.rewrap_data_keys()
            current = vault.master_keys()[0].id
        except (vault.Sealed, ImproperlyConfigured) as error:
            raise CommandError(f"Not all data keys could be wrapped again: {error}") from error
        self.stdout.write(f"{count} data keys wrapped again, all are under {current} now.")
