"""Requirement 10: stored keys open for their own company, row and address alone, and are never told."""

from __future__ import annotations

import itertools

import pytest

from ai_providers import services
from ai_providers.models import SealedKey
from megahub.kernel.errors import NoApiKey
from megahub.tenancy.models import CompanyKey
from tests.conftest import Api
from tests.world import Cast

URL = "https://api.openai.com/v1"
INFOMANIAK_URL = "https://api.infomaniak.com"
KEYS = {"openai": "sk-proj-canary-ours-0123456789", "infomaniak": "C" * 60}
THEIRS = {"openai": "sk-proj-canary-theirs-0123456789"}


@pytest.fixture
def sealed(cast: Cast) -> list[SealedKey]:
    services.store_keys(cast.company.pk, KEYS)
    services.store_keys(cast.charlie.company.pk, THEIRS)
    companies = [cast.company.pk, cast.charlie.company.pk]
    return list(SealedKey.objects.unscoped().filter(company_id__in=companies).order_by("pk"))


def address(row: SealedKey) -> str:
    return URL if row.provider == "openai" else INFOMANIAK_URL


def test_each_opens_where_it_belongs(sealed: list[SealedKey]) -> None:
    assert sorted(row.open(address(row)) for row in sealed) == sorted([*KEYS.values(), *THEIRS.values()])


def test_no_two_rows_can_be_swapped(sealed: list[SealedKey]) -> None:
    pairs = list(itertools.permutations(range(len(sealed)), 2))
    opened = 0
    for here, there in pairs:
        row = SealedKey.objects.unscoped().get(pk=sealed[here].pk)
        row.sealed = bytes(sealed[there].sealed)
        with pytest.raises(NoApiKey) as refused:
            row.open(address(row))
        opened += "canary" in str(refused.value)
    assert (len(pairs), opened) == (6, 0)


@pytest.mark.parametrize("field", ["company_id", "uid", "provider"])
def test_nor_can_what_a_row_says_of_itself(sealed: list[SealedKey], field: str) -> None:
    first, *_, last = sealed
    setattr(first, field, getattr(last, field) if field != "provider" else "infomaniak")
    with pytest.raises(NoApiKey):
        first.open(URL)


@pytest.mark.parametrize(
    "url", ["https://evil.example/v1", "https://api.openai.com/v1/", "", "http://api.openai.com/v1"]
)
def test_another_address_opens_nothing(sealed: list[SealedKey], url: str) -> None:
    with pytest.raises(NoApiKey):
        sealed[0].open(url)


def test_without_its_data_key_nothing_opens(cast: Cast, sealed: list[SealedKey]) -> None:
    """Crypto-shredding: what a company's data key sealed is gone with it."""
    CompanyKey.objects.of(cast.company.pk).delete()

    for row in SealedKey.objects.of(cast.company.pk):
        with pytest.raises(NoApiKey):
            row.open(address(row))


def test_no_answer_holds_one(api: Api, cast: Cast, sealed: list[SealedKey]) -> None:
    caller = api.as_(cast.alice)
    for path in ("/ai/credentials/", "/ai/credentials/history/", "/ai/providers/", "/ai/providers/health/"):
        text = caller.get(path).text
        for key in KEYS.values():
            assert key not in text
            assert key[:12] not in text
