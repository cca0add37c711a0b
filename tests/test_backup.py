"""A database that is lost, and restored by the commands of docs/operations.md."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import connection

from tests.processes import clean_env
from tools import postgres, services
from tools.report import ROOT

NAME = f"hub_backup_{os.getpid()}"


def commands(database: str) -> tuple[str, str]:
    """How to back up and how to restore, as the document says it."""
    document = (ROOT / "docs" / "operations.md").read_text()
    section = document.partition("## Backup and restore")[2].partition("\n## ")[0]
    first, second, third, fourth = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    return (first, second) if database == "postgresql" else (third, fourth)


@dataclass
class Place:
    """A hub's database of its own, and the shell of whoever operates it."""

    folder: Path
    env: dict[str, str]
    lose: Callable[[], None]

    def run(self, *command: str) -> str:
        done = subprocess.run(
            command, cwd=ROOT, env=self.env, capture_output=True, text=True, check=False, timeout=110
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def shell(self, script: str) -> str:
        script = script.replace("hub.dump", str(self.folder / "hub.dump"))
        return self.run("sh", "-euc", script.replace("hub.bak", str(self.folder / "hub.bak")))

    def tell(self, what: str, port: int) -> dict[str, Any]:
        """A chapter of tests/backup_story.py."""
        said = self.run(sys.executable, "-m", "tests.backup_story", what, str(port))
        return dict(json.loads(said.splitlines()[-1]))


@pytest.fixture
def place(database: None, tmp_path: Path) -> Iterator[Place]:
    """A fresh database beside the suite's."""
    python = str(Path(sys.executable).parent)
    env = clean_env(
        DJANGO_SETTINGS_MODULE="megahub.settings.test",
        HUB_VAR=str(tmp_path),
        HUB_SANDBOX_URL="http://127.0.0.1:9",  # nobody: the story's provider is scripted
    )
    if connection.vendor == "sqlite":
        file = tmp_path / "hub.sqlite3"
        env |= {"DATABASE_URL": f"sqlite:///{file}", "DATABASE": str(file)}
        env["PATH"] = f"{python}:{env['PATH']}"
        yield Place(tmp_path, env, file.unlink)
        return
    env["PATH"] = f"{postgres.binaries()}:{python}:{env['PATH']}"
    server_url = settings.DATABASE_URL.rpartition("/")[0]  # as its owner, whoever the suite signed in as
    admin = f"{server_url}/postgres"
    env |= {"DATABASE": NAME, "OWNER_URL": f"{server_url}/{NAME}", "ADMIN_URL": admin}
    env["DATABASE_URL"] = env["OWNER_URL"]
    with psycopg.connect(admin, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {NAME}")
        try:
            yield Place(tmp_path, env, lambda: _drop(server))
        finally:
            _drop(server)


def _drop(server: psycopg.Connection[Any]) -> None:
    with suppress(psycopg.errors.InvalidCatalogName):
        server.execute(f"DROP DATABASE {NAME} WITH (FORCE)")


@pytest.mark.timeout(400)
def test_it_works(place: Place) -> None:
    backup, restore = commands(connection.vendor)
    place.run(sys.executable, "manage.py", "migrate", "--verbosity", "0")
    port = services.free_port("127.0.0.1")
    before = place.tell("make", port)
    assert before["calls"] == 2

    place.shell(backup)
    place.lose()
    assert "I1 to I4 hold" in place.shell(restore)
    found = place.tell("check", port)

    for what in ("jobs", "ledger", "windows", "events"):
        assert found[what] == before[what]
    # What waited ran, what ran was taken back and ran again, each once; what was paid was not paid again.
    assert found["calls"] == 3
    assert set(found["after"]["jobs"].values()) == {"completed"}
    assert sorted(kind for kind, _ in found["after"]["ledger"]) == ["settle"] * 5
    ((reserved, spent, exposed),) = found["after"]["windows"]
    ((held, _, exposed_before),) = before["windows"]
    assert (reserved, spent) == (0, sum(charged for _, charged in found["after"]["ledger"]))
    # Two attempts may have been paid for: the one that was lost before, and the one that ran.
    assert (exposed, exposed_before) == (2 * held // 3, held // 3)
    # Every event was told once, under the name that it had before.
    assert found["heard"] == sorted(found["after"]["events"])
    assert len(found["heard"]) == 5
    assert set(before["events"]) < set(found["heard"])
    assert found["deliveries"] == ["delivered"] * 5
    assert found["folded"] == 5
