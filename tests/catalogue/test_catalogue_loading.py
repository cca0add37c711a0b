"""Reading the catalogue: what it does not understand does not load."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ai_providers.catalogue import loading
from ai_providers.domain.spec import ModelSpec
from tests.catalogue import differences
from tests.catalogue.test_catalogue_pins import PINS

GPT_4O_PRICE = 'rates = { input = "2.5", cache_read = "1.25", output = "10" }'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the catalogue that a test may spoil."""
    for file in loading.FOLDER.glob("*.toml"):
        shutil.copy(file, tmp_path)
    monkeypatch.setattr(loading, "FOLDER", tmp_path)
    return tmp_path


def read() -> dict[str, ModelSpec]:
    """The catalogue as it is in the folder now, past the cache."""
    return loading.models.__wrapped__()


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert text.count(old) >= 1, old
    file.write_text(text.replace(old, new, 1))


def test_it_works(folder: Path) -> None:
    assert read() == loading.models()
    assert next(iter(read())) == "o1"


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        (
            "openai.toml",
            'id = "gpt-4o"\n',
            'id = "gpt-4o"\ncolour = "blue"\n',
            "gpt-4o: unknown keys ['colour']",
        ),
        (
            "openai.toml",
            "[rules.gpt-5]\n",
            "[rules.gpt-5]\nlikes = 1\n",
            "rules gpt-5: unknown keys ['likes']",
        ),
        (
            "openai.toml",
            'provider = "openai"\n',
            'provider = "openai"\nx = 1\n',
            "openai.toml: unknown keys ['x']",
        ),
        (
            "params.toml",
            "maximum = 20,",
            "maximun = 20,",
            "parameter top_logprobs: unknown keys ['maximun']",
        ),
        (
            "openai.toml",
            GPT_4O_PRICE,
            f"{GPT_4O_PRICE}\nbach = {{}}",
            "price of gpt-4o: unknown keys ['bach']",
        ),
        (
            "openai.toml",
            GPT_4O_PRICE,
            GPT_4O_PRICE.replace("cache_read", "cached"),
            "price of gpt-4o: unknown keys ['cached']",
        ),
        (
            "openai.toml",
            "tiers = [{ above_input_tokens",
            "tiers = [{ below = 1, above_input_tokens",
            "price of gpt-5.4: unknown keys ['below']",
        ),
    ],
)
def test_unknown_keys(folder: Path, file: str, old: str, new: str, told: str) -> None:
    edit(folder / file, old, new)

    with pytest.raises(ValueError) as caught:
        read()

    assert str(caught.value) == told


def test_twice_in_one_file(folder: Path) -> None:
    edit(folder / "openai.toml", 'id = "gpt-4o-mini"', 'id = "gpt-4o"')

    with pytest.raises(ValueError) as caught:
        read()

    assert str(caught.value) == "gpt-4o is in the catalogue twice"


def test_twice_in_two_files(folder: Path) -> None:
    edit(folder / "google.toml", 'id = "gemini-2.5-pro"', 'id = "o3"')

    with pytest.raises(ValueError) as caught:
        read()

    assert str(caught.value) == "o3 is in the catalogue twice"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('also_forbids = ["dimensions"]', 'also_forbids = ["dimension"]'),  # a name that nobody knows
        ('sources = ["litellm", "genai_prices", "spec"]', 'sources = ["hearsay"]'),
        ('rules = "embeddings"', 'rules = "embedding"'),
    ],
)
def test_unknown_names(folder: Path, old: str, new: str) -> None:
    edit(folder / "openai.toml", old, new)

    with pytest.raises(KeyError):
        read()


def test_a_price_is_exact(folder: Path) -> None:
    """Amounts are texts in the file: a float is not exact."""
    edit(folder / "openai.toml", GPT_4O_PRICE, GPT_4O_PRICE.replace('"2.5"', "2.5"))

    with pytest.raises(ValueError) as caught:
        read()

    assert str(caught.value) == "price of gpt-4o: amounts are texts, a float is not exact"


def test_every_difference_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A difference from the facts that nothing needs any more is a mistake in the making."""
    expected = [(differences.expected_takes(p), differences.expected_forbids(p)) for p in PINS.values()]
    everything = differences.DIFFERENCES

    for number, difference in enumerate(everything):
        monkeypatch.setattr(differences, "DIFFERENCES", everything[:number] + everything[number + 1 :])
        without = [(differences.expected_takes(p), differences.expected_forbids(p)) for p in PINS.values()]
        assert without != expected, difference.why
