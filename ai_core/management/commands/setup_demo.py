"""``setup_demo``: two companies to try the hub with; prints its people as JSON."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from decimal import Decimal
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from ai_providers import services
from ai_usage.models import Budget
from ai_usage.services import defaults, limits
from megahub.kernel import money, trail
from megahub.tenancy.models import Brand, Company, Membership, User
from megahub.tenancy.roles import Role

MONTHLY_BUDGET_USD = Decimal("100")
#: Whoever tries how fast the sandbox answers should not meet a quota; that of costs is the usual one.
MONTHLY_TOKENS = 10**9
PEOPLE = (
    ("alice", "Demo", Role.OWNER),
    ("bob", "Demo", Role.MEMBER),
    ("charlie", "Elsewhere", Role.OWNER),
)


class Command(BaseCommand):
    help = "Make the demo companies Demo (alice, bob) and Elsewhere (charlie); repeatable."

    def add_arguments(self, parser: ArgumentParser) -> None:
        # Not argparse's to require: call_command would parse a password that begins with a dash.
        parser.add_argument("--password", help="the password of all demo users (needed)")

    @transaction.atomic
    @trail.recorded("demo.set_up")
    def handle(self, *args: Any, **options: Any) -> None:
        if not options["password"]:
            raise CommandError("Give the demo users a --password.")
        people = [self._person(*row, options["password"]) for row in PEOPLE]
        self.stdout.write(json.dumps({"users": people}))

    def _person(self, username: str, company_name: str, role: str, password: str) -> dict[str, Any]:
        company, brand = self._company(company_name)
        user, _ = User.objects.get_or_create(
            username=username, defaults={"email": f"{username}@example.com"}
        )
        if not user.check_password(password):
            user.set_password(password)
        user.is_staff = user.is_superuser = username == "alice"
        user.save()
        Membership.objects.unscoped().get_or_create(
            company=company, user=user, defaults={"role": role, "default_brand": brand}
        )
        return {"username": username, "role": role, "company": company.name, "brand_id": brand.pk}

    @staticmethod
    def _company(name: str) -> tuple[Company, Brand]:
        company, _ = Company.objects.get_or_create(
            slug=name.lower(),
            defaults={"name": name, "use_sandbox": True, "timezone": "Europe/Zurich"},
        )
        brand, _ = Brand.objects.unscoped().get_or_create(company=company, name=f"{name} brand")
        Budget.objects.unscoped().get_or_create(
            company=company,
            scope=Budget.Scope.COMPANY,
            scope_value="",
            period=Budget.Period.MONTH,
            unit=Budget.Unit.NANO_USD,
            defaults={"limit": money.to_nano(MONTHLY_BUDGET_USD)},
        )
        defaults.provide_quotas(company.pk, tokens=MONTHLY_TOKENS)
        limits.provide_defaults(company.pk)
        # With OPENAI_API_KEY and the like given, Demo uses them; without, the sandbox answers.
        if name == "Demo":
            services.store_keys(company.pk, {}, use_global_fallback=True)
        return company, brand
