"""``ai_health_check --all-providers``: whether the providers answer."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from ai_providers.catalogue import loading
from ai_providers.management import companies
from ai_providers.services import connections


class Command(BaseCommand):
    help = (
        "Ask providers for their models (a free call): with the hub's own keys, or as a --company would."
        " Ends with an error when one that is configured does not answer."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--all-providers", action="store_true")
        which.add_argument("--provider", choices=loading.PROVIDERS)
        parser.add_argument("--company", help="slug or number")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["company"]:
            company = companies.company_named(options["company"])
            probes = companies.run(connections.health(company.pk))
        else:
            probes = companies.run(connections.of_the_hub())
        wanted = [p for p in probes if options["provider"] in (None, p.provider)]
        for probe in wanted:
            self.stdout.write(f"{probe.provider}: {companies.line(probe)}")
        ill = [probe.provider for probe in wanted if probe.status == "error"]
        if ill:
            raise CommandError(f"Not healthy: {', '.join(ill)}.")
