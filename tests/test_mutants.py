"""Mutants are changes to the sources as they are: what one replaces stands in its file, once."""

from __future__ import annotations

import pytest

from tools import isolation_mutants, mutants
from tools.report import ROOT

pytestmark = pytest.mark.any_database


@pytest.mark.parametrize(
    "mutant", [*mutants.MUTANTS, *isolation_mutants.MUTANTS], ids=lambda each: each.name
)
def test_what_is_taken_away_is_there(mutant: mutants.Mutant) -> None:
    assert (ROOT / mutant.file).read_text().count(mutant.before) == 1
    for test in mutant.tests:
        assert (ROOT / test.partition("::")[0]).exists()
