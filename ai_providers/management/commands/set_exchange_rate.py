"""``set_exchange_rate CHF 1.2362 --day 2026-11-20 --source …``: what a currency is worth from a day on."""

from __future__ import annotations

import re
from argparse import ArgumentParser
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from ai_providers import services
from ai_providers.models import ExchangeRate
from megahub.kernel import clock, trail

CURRENCY = re.compile(r"[A-Z]{3}")


class Command(BaseCommand):
    help = "Set how many USD one unit of a currency is worth from a day on (by default today)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("currency", help="three letters, as in CHF")
        parser.add_argument("usd", help="USD for one unit, as in 1.2362")
        parser.add_argument("--day", help="YYYY-MM-DD")
        parser.add_argument("--source", required=True, help="where the rate was read")

    @trail.recorded("exchange_rate.set", "currency", "usd", "day", "source", atomic=True)
    def handle(self, *args: Any, **options: Any) -> None:
        currency = options["currency"].upper()
        if not CURRENCY.fullmatch(currency) or currency == "USD":
            raise CommandError("The currency is three letters other than USD, as in CHF.")
        day = _day(options["day"])
        usd = _rate(options["usd"])
        try:
            ExchangeRate(currency=currency, day=day, usd=usd, source=options["source"]).clean_fields()
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from error
        self.stdout.write(str(services.set_rate(currency, day, usd, options["source"])))


def _day(text: str | None) -> date:
    try:
        return clock.now().date() if text is None else date.fromisoformat(text)
    except ValueError as error:
        raise CommandError(f"{text!r} is no day; write YYYY-MM-DD.") from error


def _rate(text: str) -> Decimal:
    try:
        rate = Decimal(text)
    except InvalidOperation as error:
        raise CommandError(f"{text!r} is no number; write 1.2362.") from error
    if not rate.is_finite() or rate <= 0:
        raise CommandError("The rate must be greater than zero.")
    return rate
