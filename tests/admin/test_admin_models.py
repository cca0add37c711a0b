"""Overrides of models and exchange rates: checked, previewed, felt at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from ai_providers import selectors
from ai_providers.models import AIModel, AIProvider, ExchangeRate
from megahub.kernel import cache, clock
from megahub.kernel.errors import ModelBlocked
from tests import world
from tests.world import Cast

URL = "/admin/ai_providers/aimodel/"
#: Models of the catalogue that no other test overrides; the first has no price, the second is retired.
UNPRICED, RETIRED, DEPRECATED, PRICED = "llama3", "gpt-4-32k", "gpt-4.1-mini", "gpt-5.2"


@pytest.fixture(autouse=True)
def put_back() -> Iterator[None]:
    yield
    AIModel.objects.filter(model_id__in=(UNPRICED, RETIRED, DEPRECATED, PRICED)).delete()
    ExchangeRate.objects.filter(source="a test").delete()
    cache.forget_everything()


def form(model_id: str, **fields: str) -> dict[str, str]:
    prices = dict.fromkeys(("input_price", "cache_read_price", "cache_write_price", "output_price"), "")
    return {"model_id": model_id, "price_since": "", "currency": "USD", "note": "", **prices, **fields}


def errors_of(response: Any) -> dict[str, list[str]]:
    return dict(response.context["adminform"].form.errors)


def today() -> date:
    return clock.now().date()


def preview(root: Client, model_id: str) -> str:
    row = AIModel.objects.get(model_id=model_id)
    return root.get(f"{URL}{row.pk}/change/").text


def test_it_works(root: Client, cast: Cast) -> None:
    assert world.terms(cast.company, UNPRICED).priced is False

    response = root.post(
        f"{URL}add/",
        form(UNPRICED, price_since=str(today()), input_price="0.50", output_price="1.5"),
    )

    assert response.status_code == 302
    terms = world.terms(cast.company, UNPRICED)
    assert (terms.priced, terms.price.rates) == (True, {"input": Decimal("0.5"), "output": Decimal("1.5")})
    # 1,000 x 0.50 + 1,000 x 1.50 for a million.
    assert "0.002 USD" in preview(root, UNPRICED)


def test_blocking_is_felt_at_once(root: Client, cast: Cast) -> None:
    assert world.terms(cast.company, PRICED)

    root.post(f"{URL}add/", form(PRICED, is_blocked="on"))

    with pytest.raises(ModelBlocked):
        world.terms(cast.company, PRICED)
    row = AIModel.objects.get(model_id=PRICED)
    root.post(f"{URL}{row.pk}/delete/", {"post": "yes"})
    assert world.terms(cast.company, PRICED)


def test_a_price_to_come_is_previewed_beside_the_present_one(root: Client, sandbox_url: str) -> None:
    later = today() + timedelta(days=30)

    root.post(f"{URL}add/", form(PRICED, price_since=str(later), input_price="100", output_price="200"))

    shown = preview(root, PRICED)
    assert "1.75 / 14 USD" in shown  # the catalogue's, in force
    assert "0.01575 USD" in shown
    assert "100 / 200 USD" in shown
    assert "0.30 USD" in shown


def test_what_is_typed_is_previewed_as_it_is_typed(root: Client, sandbox_url: str) -> None:
    shown = root.get(f"{URL}add/").text
    assert 'data-url="/admin/ai_providers/aimodel/preview/"' in shown
    assert 'src="/static/ai_providers/preview.js" type="module"' in shown

    typed = form(UNPRICED, price_since=str(today()), input_price="0.50", output_price="1.5")
    assert "0.002 USD" in root.get(f"{URL}preview/", typed).text
    later = form(PRICED, price_since=str(today() + timedelta(days=3)), input_price="7", output_price="7")
    told = root.get(f"{URL}preview/", later).text
    assert ("0.014 USD" in told, told.count("<tr")) == (True, 3)
    assert "A price cannot be negative." in root.get(f"{URL}preview/", {**typed, "input_price": "-1"}).text
    assert root.get(f"{URL}preview/", form("<b>")).text == "Choose a model."
    assert not AIModel.objects.filter(model_id__in=(UNPRICED, PRICED)).exists()


def test_who_may_only_look_previews_nothing(staff: Callable[..., Client], sandbox_url: str) -> None:
    assert staff("view_aimodel").get(f"{URL}preview/", form(UNPRICED)).status_code == 403


def test_the_preview_of_an_unpriced_model(root: Client, sandbox_url: str) -> None:
    root.post(f"{URL}add/", form(UNPRICED, note="wait for the list"))

    assert "unpriced, held as" in preview(root, UNPRICED)


def test_prices_in_another_currency(root: Client, sandbox_url: str) -> None:
    since = str(today())
    rate = selectors.rate_of("CHF", today()).usd

    root.post(f"{URL}add/", form(UNPRICED, price_since=since, currency="CHF", input_price="1"))

    assert f"{rate / 1000:.6f}".rstrip("0") + " USD" in preview(root, UNPRICED)


@pytest.mark.parametrize(
    ("fields", "errors"),
    [
        ({"model_id": "gpt-99"}, {"model_id": ["This model is not in the catalogue."]}),
        ({"input_price": "1"}, {"price_since": ["From which day on does the price hold?"]}),
        (
            {"output_price": "1", "price_since": "2026-11-01"},
            {"input_price": ["Without it the other prices would not count."]},
        ),
        (
            {"input_price": "1", "cache_read_price": "-1", "price_since": "2026-11-01"},
            {"cache_read_price": ["A price cannot be negative."]},
        ),
        (
            {"input_price": "1", "currency": "CHF", "price_since": "2001-01-01"},
            {"currency": ["No exchange rate is known for that day."]},
        ),
    ],
)  # fmt: skip
def test_what_could_not_be_charged_is_refused(
    root: Client, sandbox_url: str, fields: dict[str, str], errors: dict[str, list[str]]
) -> None:
    response = root.post(f"{URL}add/", {**form(UNPRICED), **fields})

    assert errors_of(response) == errors
    assert not AIModel.objects.filter(model_id__in=(UNPRICED, "gpt-99")).exists()


def test_the_list_shows_the_catalogues_facts(root: Client, sandbox_url: str) -> None:
    for model_id in (UNPRICED, RETIRED, DEPRECATED, PRICED):
        root.post(f"{URL}add/", form(model_id))

    with CaptureQueriesContext(connection) as queries:
        response = root.get(URL)

    admin = response.context["cl"].model_admin
    rows = {row.model_id: row for row in response.context["cl"].result_list}
    facts = {
        name: (admin.provider(row), admin.status(row)[0], str(admin.in_force(row)))
        for name, row in rows.items()
        if name in (UNPRICED, RETIRED, DEPRECATED, PRICED)
    }
    assert facts == {
        UNPRICED: ("infomaniak", "active", "unpriced"),
        RETIRED: ("openai", "retired", "60 / 120 USD"),
        DEPRECATED: ("openai", "deprecated", "0.4 / 1.6 USD"),
        PRICED: ("openai", "active", "1.75 / 14 USD"),
    }
    # Session, user, count twice, rows, and the prices of all models at once.
    assert len(queries) == 6


def test_the_models_are_chosen_from_the_catalogue(root: Client, sandbox_url: str) -> None:
    shown = root.get(f"{URL}add/", {"model_id": UNPRICED}).text

    assert f'<option value="{UNPRICED}" selected' in shown
    assert f"{UNPRICED} (infomaniak, unpriced)" in shown
    assert f"{PRICED} (openai)" in shown


def test_a_providers_name_is_the_codes(root: Client, sandbox_url: str) -> None:
    row = AIProvider.objects.get(name="google")
    sent = {
        "name": "other",
        "display_name": "Google AI",
        "base_url": "",
        "is_active": "on",
        "default_model": "m",
    }

    assert root.post(f"/admin/ai_providers/aiprovider/{row.pk}/change/", sent).status_code == 302

    row.refresh_from_db()
    assert (row.name, row.display_name) == ("google", "Google AI")
    AIProvider.objects.filter(pk=row.pk).update(display_name="Google", default_model="gemini-3.5-flash")


# Exchange rates --------------------------------------------------------------------------------

RATES = "/admin/ai_providers/exchangerate/"


def test_a_newer_rate_is_used_at_once(root: Client, cast: Cast) -> None:
    model = "swiss-ai/Apertus-v1.5-70B"
    before = world.terms(cast.company, model).rate
    sent = {"currency": "chf", "day": str(today()), "usd": "1.5", "source": "a test"}

    assert root.post(f"{RATES}add/", sent).status_code == 302

    after = world.terms(cast.company, model).rate
    assert (after.currency, after.usd, after.day) == ("CHF", Decimal("1.5"), today())
    assert after != before


@pytest.mark.parametrize(
    ("field", "value", "errors"),
    [
        ("currency", "USD", ["Three letters of a currency other than the dollar, as in CHF."]),
        ("currency", "C1F", ["Three letters of a currency other than the dollar, as in CHF."]),
        ("usd", "0", None),
        ("day", "yesterday", ["Enter a valid date."]),
        ("source", "", ["This field is required."]),
    ],
)
def test_a_wrong_rate_is_refused(
    root: Client, sandbox_url: str, field: str, value: str, errors: list[str] | None
) -> None:
    sent = {"currency": "EUR", "day": "2026-11-20", "usd": "1.1", "source": "a test", field: value}

    response = root.post(f"{RATES}add/", sent)

    expected = {field: errors} if errors else {"__all__": ["Constraint “rate_is_positive” is violated."]}
    assert errors_of(response) == expected
    assert not ExchangeRate.objects.filter(source="a test").exists()


def test_a_rate_can_be_mended_and_keeps_its_day(root: Client, sandbox_url: str) -> None:
    row = ExchangeRate.objects.create(
        currency="EUR", day=date(2026, 1, 2), usd=Decimal(11), source="a test"
    )
    sent = {"currency": "GBP", "day": "2026-05-05", "usd": "1.1", "source": "a test"}

    assert root.post(f"{RATES}{row.pk}/change/", sent).status_code == 302

    row.refresh_from_db()
    assert (row.currency, row.day, row.usd) == ("EUR", date(2026, 1, 2), Decimal("1.1"))
