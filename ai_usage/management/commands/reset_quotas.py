"""``reset_quotas --company demo --provider openai``: what the month has used counts no longer."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from ai_providers.catalogue import loading
from ai_providers.management.companies import company_named
from ai_usage.services import quotas
from megahub.kernel import trail
from megahub.tenancy.models import Company


class Command(BaseCommand):
    help = (
        "Let what a company has used of a provider this month count no longer against its monthly quota."
        " No month needs this to begin: a quota's window is the calendar month in the company's time zone,"
        " and a new one begins empty by itself. A reset forgives the present window: jobs that the quota"
        " refused run again at once, held and new usage counts from here, and the next month is as ever."
        " Nothing is rewritten: the ledger, the costs and the windows keep what was used. Budgets other"
        " than quotas are not touched. --limits puts the limits themselves back to those that a company"
        " starts with."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--company", help="slug or number; without it: every company")
        parser.add_argument("--provider", choices=loading.PROVIDERS, help="without it: every provider")
        parser.add_argument("--limits", action="store_true", help="put the limits back, too")

    @trail.recorded("quota.reset", "company", "provider", "limits", atomic=True)
    def handle(self, *args: Any, **options: Any) -> None:
        names = [options["provider"]] if options["provider"] else list(loading.PROVIDERS)
        if not options["company"] and not options["provider"]:
            raise CommandError("Name a --company, a --provider, or both.")
        named = options["company"]
        for company in [company_named(named)] if named else Company.objects.order_by("pk"):
            for name in names:
                windows = quotas.reset(company.pk, name, company.timezone)
                if options["limits"]:
                    quotas.reset_limits(company.pk, name)
                self.stdout.write(f"{company.slug} {name}: {windows} windows forgiven{_more(options)}")


def _more(options: dict[str, Any]) -> str:
    return ", the usual limits again" if options["limits"] else ""
