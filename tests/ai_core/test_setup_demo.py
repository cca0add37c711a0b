"""``setup_demo``: two companies to try the hub with, as often as one likes."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from ai_providers.models import AICredentials
from ai_usage.models import Budget
from megahub.kernel import money
from megahub.tenancy.models import Brand, Company, Membership, User
from tests.conftest import Api
from tests.world import Cast

PEOPLE = {"alice": ("demo", "owner"), "bob": ("demo", "member"), "charlie": ("elsewhere", "owner")}
CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}


def setup_demo(password: str = "correct horse") -> list[dict[str, Any]]:
    """The people that it tells of."""
    said = io.StringIO()
    call_command("setup_demo", password=password, stdout=said)
    people: list[dict[str, Any]] = json.loads(said.getvalue())["users"]
    return people


@pytest.fixture(autouse=True)
def no_superuser_is_left(sandbox_url: str) -> Iterator[None]:
    """Alice becomes one."""
    yield
    User.objects.filter(username__in=PEOPLE).update(is_superuser=False, is_staff=False)


def budget_rows() -> list[tuple[Any, ...]]:
    rows = Budget.objects.unscoped().filter(company__slug__in=("demo", "elsewhere"))
    return sorted(rows.values_list("company__slug", "scope", "scope_value", "period", "unit", "limit"))


def token_versions() -> dict[str, int]:
    return dict(User.objects.filter(username__in=PEOPLE).values_list("username", "token_version"))


def test_it_works() -> None:
    people = setup_demo()

    assert [(one["username"], one["role"], one["company"]) for one in people] == [
        ("alice", "owner", "Demo"),
        ("bob", "member", "Demo"),
        ("charlie", "owner", "Elsewhere"),
    ]
    for one in people:
        company, role = PEOPLE[one["username"]]
        brand = Brand.objects.unscoped().get(pk=one["brand_id"])
        assert (brand.company.slug, brand.company.use_sandbox) == (company, True)
        user = User.objects.get(username=one["username"])
        assert user.check_password("correct horse")
        assert (user.is_staff, user.is_superuser) == (one["username"] == "alice",) * 2
        membership = Membership.objects.unscoped().get(user=user)
        assert (membership.role, membership.default_brand_id) == (role, brand.pk)
        monthly = (company, "company", "", "month", "nano_usd", money.to_nano(Decimal(100)))
        assert monthly in budget_rows()
    # With a key of the hub's for a provider Demo would use it, Elsewhere never.
    assert AICredentials.objects.unscoped().get(company__slug="demo").use_global_fallback
    assert not AICredentials.objects.unscoped().filter(company__slug="elsewhere").exists()


def test_it_can_be_repeated() -> None:
    first = setup_demo()
    budgets = budget_rows()
    versions = token_versions()

    assert setup_demo() == first

    assert budget_rows() == budgets
    assert Company.objects.filter(slug__in=("demo", "elsewhere")).count() == 2
    # The same password again signs nobody out.
    assert token_versions() == versions


def test_another_password_takes_the_place_of_the_first(api: Api) -> None:
    setup_demo("correct horse")
    old = {"username": "bob", "password": "correct horse"}
    token = api.post("/auth/token/", old).json()["access"]

    setup_demo("battery staple")

    assert api.post("/auth/token/", old).status_code == 401
    fresh = api.post("/auth/token/", {**old, "password": "battery staple"})
    assert fresh.status_code == 200
    # What was signed in with the first one is signed out.
    refreshed = api.post("/auth/token/verify/", {"token": token})
    assert refreshed.status_code == 401


def test_what_it_makes_works(api: Api, cast: Cast) -> None:
    setup_demo()
    token = api.post("/auth/token/", {"username": "charlie", "password": "correct horse"}).json()["access"]

    response = api.as_(token).post("/v1/chat/completions", CHAT)

    assert response.status_code == 200
    assert response.headers["x-megahub-sandbox"] == "true"


def test_what_somebody_changed_is_left() -> None:
    setup_demo()
    Company.objects.filter(slug="demo").update(name="Renamed")
    Membership.objects.unscoped().filter(user__username="bob").update(role="admin")
    try:
        setup_demo()

        assert Company.objects.get(slug="demo").name == "Renamed"
        assert Membership.objects.unscoped().get(user__username="bob").role == "admin"
    finally:
        Company.objects.filter(slug="demo").update(name="Demo")
        Membership.objects.unscoped().filter(user__username="bob").update(role="member")


def test_a_password_is_needed() -> None:
    with pytest.raises(CommandError, match="--password"):
        call_command("setup_demo")


def test_a_password_may_begin_with_a_dash(api: Api) -> None:
    """As one in 64 of those that the launcher makes does."""
    setup_demo("-X9_starts-with-a-dash")

    signed_in = api.post("/auth/token/", {"username": "bob", "password": "-X9_starts-with-a-dash"})

    assert signed_in.status_code == 200
