"""``setup_ai_infrastructure``: what an installation needs beside its tables."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from ai_core.services import types
from ai_providers.services import providers
from ai_usage.services import limits
from megahub.kernel import trail, vault
from megahub.tenancy.models import Company


class Command(BaseCommand):
    help = (
        "Add the providers, the job types and every company's usual budgets and quotas where they are"
        " missing, and say what is not configured; repeatable. What people changed stays."
    )

    @trail.recorded("hub.set_up")
    def handle(self, *args: Any, **options: Any) -> None:
        try:
            keys = vault.master_keys()
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from error
        self._say("master keys", f"{len(keys)}, {keys[0].id} seals")
        self._say("providers", _counted(name for name, added in providers.provide().items() if added))
        outcomes = types.provide()
        self._say("job types", _counted(name for name, outcome in outcomes.items() if outcome == "added"))
        companies = list(Company.objects.filter(is_active=True).order_by("pk"))
        for company in companies:
            limits.provide_defaults(company.pk)
        limits.forget()
        self._say("companies", f"{len(companies)}, their usual budgets and quotas are there")
        own = [name for name, facts in settings.HUB_PROVIDERS.items() if facts.get("api_key")]
        self._say("the hub's own keys", ", ".join(own) or "none")
        self._say("sandbox", settings.HUB_SANDBOX_URL or "none (HUB_SANDBOX_URL is not set)")

    def _say(self, what: str, found: str) -> None:
        self.stdout.write(f"{what}: {found}")


def _counted(added: Any) -> str:
    names = ", ".join(added)
    return f"added {names}" if names else "all there"
