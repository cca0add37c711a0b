"""Making companies, people and jobs for tests, through the same doors as everybody."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import cache as kept
from typing import Any

from django.contrib.auth.hashers import make_password

from ai_core import pipeline
from ai_core.models import AIJob
from ai_core.services.job import Job, Order
from ai_providers import selectors as providers
from ai_providers.selectors import Terms
from ai_usage.models import Budget, BudgetWindow, LedgerEntry
from megahub.kernel import cache, loop, money
from megahub.kernel.session import Session, open_session
from megahub.tenancy import selectors, services, tokens
from megahub.tenancy.models import Brand, Company, Membership, SignIn, User
from megahub.tenancy.roles import Role
from megahub.tenancy.selectors import Caller

RUN = f"{os.getpid():x}"
PASSWORD = "correct horse"


@dataclass
class Person:
    """Somebody with a membership and a token."""

    user: User
    company: Company
    brand: Brand
    token: str

    @property
    def caller(self) -> Caller:
        return selectors.caller_for(self.token, str(self.brand.pk))

    def api_key(self, *scopes: str) -> str:
        """A fresh API key with these scopes (or those that a new key has)."""
        wanted = list(scopes or ("inference", "jobs:read", "jobs:write"))
        return services.make_api_key(self.caller, "test", wanted, None, None)[1]


@dataclass
class Cast:
    """Alice owns ``company``, Bob is her member, Charlie owns another company."""

    alice: Person
    bob: Person
    charlie: Person

    @property
    def company(self) -> Company:
        return self.alice.company

    @property
    def brand(self) -> Brand:
        return self.alice.brand


def make_cast(number: int) -> Cast:
    """A fresh cast; companies may use the sandbox. In five statements: most tests begin with it."""
    ours, theirs = Company.objects.bulk_create(
        Company(name=f"{whose} {RUN} {number}", slug=f"{whose.lower()}-{RUN}-{number}", use_sandbox=True)
        for whose in ("Ours", "Theirs")
    )
    our_brand, their_brand = Brand.objects.unscoped().bulk_create(
        Brand(company=company, name=f"{company.name} brand") for company in (ours, theirs)
    )
    roles = {
        "alice": (ours, our_brand, Role.OWNER),
        "bob": (ours, our_brand, Role.MEMBER),
        "charlie": (theirs, their_brand, Role.OWNER),
    }
    users = User.objects.bulk_create(
        User(username=f"{name}-{RUN}-{number}", password=hashed()) for name in roles
    )
    people = list(zip(users, roles.values(), strict=True))
    Membership.objects.unscoped().bulk_create(
        Membership(company=company, user=user, role=role, default_brand=brand)
        for user, (company, brand, role) in people
    )
    sessions = SignIn.objects.bulk_create(SignIn(user=user) for user in users)
    return Cast(
        *(
            Person(user, company, brand, token(user, session))
            for (user, (company, brand, _)), session in zip(people, sessions, strict=True)
        )
    )


@kept
def hashed() -> str:
    """Everybody's password."""
    return make_password(PASSWORD)


def token(user: User, session: SignIn) -> str:
    """What they call with."""
    return tokens.issue(user.pk, str(session.pk), user.token_version)[0]


def make_company(name: str, **fields: Any) -> tuple[Company, Brand]:
    """A company with one brand."""
    slug = name.lower().replace(" ", "-")
    company = Company.objects.create(name=name, slug=slug, **{"use_sandbox": True, **fields})
    return company, Brand.objects.unscoped().create(company=company, name=f"{name} brand")


def make_person(username: str, company: Company, brand: Brand, role: str) -> Person:
    """A user with a role in the company, signed in."""
    user = User.objects.create_user(username=username, password=PASSWORD)
    Membership.objects.unscoped().create(company=company, user=user, role=role, default_brand=brand)
    return Person(user, company, brand, token(user, SignIn.objects.create(user=user)))


def terms(company: Company, model: str) -> Terms:
    """On which terms the company may call the model."""
    return loop.run(providers.terms(company.pk, model))


def make_budget(company: Company, usd: str | None = None, **fields: Any) -> Budget:
    """A budget of the company, by default a monthly one for all of it, in USD."""
    amount = {"limit": money.to_nano(Decimal(usd))} if usd is not None else {}
    budget = Budget.objects.unscoped().create(company=company, **{**amount, **fields})
    cache.forget_everything()
    return budget


def order(person: Person, text: str = "Say hello.", **fields: Any) -> Order:
    """A chat order of that person."""
    body = {"messages": [{"role": "user", "content": text}], **fields.pop("params", {})}
    known: dict[str, Any] = {
        "caller": person.caller,
        "job_type": "chat_completion",
        "endpoint": "chat",
        "model": "gpt-4o-mini",
        "body": body,
        "input_json": b"{}",
        "with_defaults": False,
    }
    from megahub.kernel import body as bodies

    known["input_json"] = bodies.dumps({"model": fields.get("model", "gpt-4o-mini"), **body})
    return Order(**{**known, **fields})


def submit(person: Person, text: str = "Say hello.", **fields: Any) -> Job:
    """Submit a chat order and answer the accepted job."""
    job = loop.run(pipeline.submit(order(person, text, **fields)))
    assert isinstance(job, Job)
    return job


def row(job: Job | int) -> AIJob:
    """The job's row as it is now."""
    pk = job if isinstance(job, int) else job.pk
    return AIJob.objects.unscoped().get(pk=pk)  # type: ignore[no-any-return]


def ledger(job: Job | int) -> list[LedgerEntry]:
    """The job's ledger entries in their order."""
    pk = job if isinstance(job, int) else job.pk
    return list(LedgerEntry.objects.unscoped().filter(job_id=pk).order_by("pk"))


@contextmanager
def session() -> Iterator[Session]:
    """A session of the journal's on this thread's connection, closed with what was set on it."""
    opened = open_session()
    try:
        yield opened
    finally:
        opened.close()


def window(budget: Budget, *, sandbox: bool = True) -> BudgetWindow | None:
    """The budget's only window so far."""
    return BudgetWindow.objects.filter(budget=budget, sandbox=sandbox).first()
