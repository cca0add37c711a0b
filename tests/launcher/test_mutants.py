"""What the mutants take away is there: code that was written anew would leave one that changes nothing."""

from __future__ import annotations

import pytest

from tools.isolation_mutants import MUTANTS as ISOLATION
from tools.mutants import MUTANTS, Mutant
from tools.report import ROOT

ALL = (*MUTANTS, *ISOLATION)


@pytest.mark.parametrize("mutant", ALL, ids=lambda it: it.name)
def test_it_changes_one_place(mutant: Mutant) -> None:
    source = (ROOT / mutant.file).read_text()

    assert source.count(mutant.before) == 1
    compile(source.replace(mutant.before, mutant.after), mutant.file, "exec")
    for test in mutant.tests:
        assert (ROOT / test.partition("::")[0]).exists()


def test_each_has_a_name_of_its_own() -> None:
    assert len({mutant.name for mutant in ALL}) == len(ALL)
