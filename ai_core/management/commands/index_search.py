"""``index_search [--company SLUG] [--anew]``: fill the blocks that searches pass over."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ai_core.services import search_blocks
from megahub.kernel import trail
from megahub.tenancy.models import Company


class Command(BaseCommand):
    help = "Fill the blocks that searches pass over, as beat does, until none is left that can be filled."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--company", metavar="SLUG", help="with --anew: only this company's")
        parser.add_argument("--anew", action="store_true", help="empty them first")

    @trail.recorded("search.index", "company")
    def handle(self, *args: Any, **options: Any) -> None:
        company_id = None
        if options["company"]:
            company_id = (
                Company.objects.filter(slug=options["company"]).values_list("pk", flat=True).first()
            )
            if company_id is None:
                raise CommandError(f"There is no company {options['company']}.")
        if options["anew"]:
            search_blocks.rebuild(company_id)
        self.stdout.write(f"{search_blocks.tend_all()} blocks filled.")
