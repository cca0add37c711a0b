"""The suite's own database is a copy of what today's migrations make."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection

from megahub.tenancy import guarding
from tests import conftest, databases
from tools.report import ROOT


@pytest.mark.skipif("PYTEST_NET" in os.environ, reason="a net was taken away")
def test_it_is_migrated_and_guarded() -> None:
    call_command("migrate", check_unapplied=True, verbosity=0)  # exits where something is left to do

    with conftest.as_owner() as cursor:
        assert guarding.missing(cursor.db) == []


def test_what_it_depends_on() -> None:
    found = {str(path.relative_to(ROOT)) for path in databases.sources()}

    assert {
        "ai_core/models.py",
        "ai_core/domain/kinds.py",  # whose rows a migration writes
        "megahub/tenancy/migrations/0001_initial.py",
        "megahub/tenancy/guarding.py",
        "ai_usage/models/__init__.py",
    } <= found


def test_another_source_is_another_template(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before, known = databases.template(), databases.sources()
    assert databases.template() == before

    monkeypatch.setattr(databases, "ROOT", Path("/"))
    (tmp_path / "0099_more.py").write_text("# more\n")
    monkeypatch.setattr(databases, "sources", lambda: [*known, tmp_path / "0099_more.py"])

    more = databases.template()
    (tmp_path / "0099_more.py").write_text("# other\n")
    assert len({before, more, databases.template()}) == 3
    assert connection.settings_dict["NAME"] not in {before, more}
