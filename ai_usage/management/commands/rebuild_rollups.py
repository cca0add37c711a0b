"""``rebuild_rollups [--company SLUG]``: make the rollups anew from the ledger."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ai_usage.services import rollups
from megahub.kernel import trail
from megahub.tenancy.models import Company


class Command(BaseCommand):
    help = "Make the rollups anew from the ledger; readers see the old ones until they are there."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--company", metavar="SLUG", help="only this company's")

    @trail.recorded("rollups.rebuild", "company")
    def handle(self, *args: Any, **options: Any) -> None:
        company_id = None
        if options["company"]:
            company = Company.objects.filter(slug=options["company"]).first()
            if company is None:
                raise CommandError(f"There is no company {options['company']}.")
            company_id = company.pk
        self.stdout.write(f"{rollups.rebuild(company_id)} rollups made.")
