"""``ai_load_test --model gpt-4o-mini --concurrent 20``: how fast jobs go through this installation."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from argparse import ArgumentParser
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import orjson
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from ai_core import pipeline
from ai_core.services.job import Job, Order
from ai_core.services.sessions import PROCESS
from ai_providers import selectors
from ai_providers.domain.wire import Access
from ai_providers.management.companies import company_named, run
from megahub.kernel import journal, loop, money, trail
from megahub.kernel.errors import HubError
from megahub.tenancy.models import Company, Membership
from megahub.tenancy.roles import Role
from megahub.tenancy.selectors import Caller, enterable

MOST_CONCURRENT = 200
MOST_REQUESTS = 10_000
MOST_SECONDS = 600
BODY = {"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 16}


@dataclass(slots=True)
class Tally:
    """What became of the jobs: how long each that answered took, the others by error code."""

    milliseconds: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    tokens: int = 0
    cost_nano_usd: int = 0
    seconds: float = 0.0


class Command(BaseCommand):
    help = (
        "Send small chat jobs, some at a time, through this installation's own road (accepted, called,"
        " settled, in the ledger) and say how long they took. Only against the sandbox or a provider on"
        " this machine, unless --yes-this-costs-money is given. Budgets and quotas hold as for every job."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--model", default=settings.AI_DEFAULT_MODEL)
        parser.add_argument("--concurrent", type=int, default=10, help=f"1 to {MOST_CONCURRENT}")
        parser.add_argument("--requests", type=int, default=100, help=f"1 to {MOST_REQUESTS}")
        parser.add_argument(
            "--seconds", type=int, default=60, help=f"the longest it may take, {MOST_SECONDS}"
        )
        parser.add_argument("--company", default="demo", help="slug or number")
        parser.add_argument("--yes-this-costs-money", action="store_true")

    @trail.recorded("jobs.load_test", "model", "concurrent")
    def handle(self, *args: Any, **options: Any) -> None:
        for name, most in (
            ("concurrent", MOST_CONCURRENT),
            ("requests", MOST_REQUESTS),
            ("seconds", MOST_SECONDS),
        ):
            if not 1 <= options[name] <= most:
                raise CommandError(f"--{name} is a whole number from 1 to {most}.")
        company = company_named(options["company"])
        try:
            accesses = loop.run(selectors.terms(company.pk, options["model"])).accesses
        except HubError as error:
            raise CommandError(str(error)) from error
        if not options["yes_this_costs_money"] and not all(map(is_free, accesses)):
            raise CommandError(
                f"{options['model']} would be called at {accesses[0].provider} with a real key. Only with"
                " --yes-this-costs-money."
            )
        order = _order(caller_of(company), options["model"])
        try:
            tally = run(_load(order, options["concurrent"], options["requests"], options["seconds"]))
        finally:
            PROCESS.end()
            journal.stop()
        self._report(tally)

    def _report(self, tally: Tally) -> None:
        done = sorted(tally.milliseconds)
        self.stdout.write(f"{len(done)} jobs answered in {tally.seconds:.1f} s.")
        if done:
            shown = ", ".join(f"p{part} {_quantile(done, part):.0f} ms" for part in (50, 95, 99))
            self.stdout.write(f"{len(done) / tally.seconds:.1f} a second; {shown}.")
        self.stdout.write(f"{tally.tokens} tokens, {money.show(tally.cost_nano_usd)} USD.")
        for code, count in tally.errors.most_common():
            self.stdout.write(f"{count} ended with {code}.")


def is_free(access: Access) -> bool:
    """The sandbox, or a provider on this machine."""
    host = urlsplit(access.base_url).hostname or ""
    try:
        return access.is_sandbox or host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def caller_of(company: Company) -> Caller:
    """An owner of the company, in one of its brands. Raises CommandError when there is none."""
    rows = Membership.objects.of(company.pk).filter(role=Role.OWNER, user__is_active=True)
    owner = rows.select_related("user").order_by("pk").first()
    brand = enterable(owner).first() if owner else None
    if owner is None or brand is None:
        raise CommandError(f"{company.slug} needs an owner and a brand.")
    found = Caller.of_job(company.pk, brand.pk, owner.user_id, None)
    return replace(found, username=owner.user.username, timezone=company.timezone)


def _order(caller: Caller, model: str) -> Order:
    return Order(
        caller=caller,
        job_type="chat_completion",
        endpoint="chat",
        model=model,
        body=BODY,
        input_json=orjson.dumps({"model": model, **BODY}),
        with_defaults=False,
        now=True,
        description="Load test",
    )


async def _load(order: Order, concurrent: int, requests: int, seconds: float) -> Tally:
    """Send the jobs, ``concurrent`` at a time, until all are done or the time is up."""
    tally = Tally()
    left = iter(range(requests))
    began = time.monotonic()

    async def walk() -> None:
        for _ in left:
            if time.monotonic() - began >= seconds:
                return
            await _one(order, tally)

    await asyncio.gather(*(walk() for _ in range(concurrent)))
    tally.seconds = max(time.monotonic() - began, 0.001)
    return tally


async def _one(order: Order, tally: Tally) -> None:
    began = time.monotonic()
    try:
        job = await pipeline.submit(order)
        assert isinstance(job, Job)
        await pipeline.run(job)
    except HubError as error:
        tally.errors[error.code] += 1
        return
    tally.milliseconds.append((time.monotonic() - began) * 1000)
    tally.tokens += job.usage.total_tokens if job.usage else 0
    tally.cost_nano_usd += job.cost.usd_nano if job.cost else 0


def _quantile(ordered: list[float], percent: int) -> float:
    """The nearest rank."""
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]
