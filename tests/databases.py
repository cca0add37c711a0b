"""The suite's database: a copy of one that was migrated once, however many workers and runs there are.

Migrating takes longer than most test files do. What is migrated is kept under the digest of all that a
migration makes tables of: another digest, another template, and the one before is forgotten.
"""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import django
from django.apps import apps
from django.conf import settings
from django.db import connection
from django.test.utils import setup_databases

from megahub.settings.base import VAR_DIR
from megahub.tenancy import guarding
from tools.report import ROOT

PREFIX = "hub_template_"
#: What is neither a migration nor a model, and makes tables what they are.
ALSO = ("megahub/tenancy/guarding.py", "megahub/tenancy/protection.py", "requirements.lock")
OURS = re.compile(r"^(?:from|import) ((?:megahub|ai_\w+)[\w.]*)", re.MULTILINE)


def sources() -> list[Path]:
    """Models, migrations and what of ours these import."""
    found = {ROOT / name for name in ALSO}
    for config in apps.get_app_configs():
        home = Path(config.path)
        if home.is_relative_to(ROOT):
            found |= {*home.glob("migrations/*.py"), *home.glob("models*.py"), *home.glob("models/**/*.py")}
    for path in list(found):
        for name in OURS.findall(path.read_text()):
            module = ROOT.joinpath(*name.split(".")).with_suffix(".py")
            found |= {module} if module.exists() else set()
    return sorted(found)


def template() -> str:
    """What the template of today's sources is called."""
    seen = hashlib.sha256(f"{django.VERSION} {settings.INSTALLED_APPS} {has_role()}".encode())
    seen.update(str(settings.HUB_ROW_SECURITY).encode())
    for path in sources():
        seen.update(f"\n{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    return PREFIX + seen.hexdigest()[:16]


def make() -> list[Any]:
    """What Django's ``setup_databases`` makes, copied."""
    name = template()
    if connection.vendor == "postgresql":
        with alone():
            if name not in (known := templates()):
                forget(known)
                migrate(f"{PREFIX}half")
                execute(f"ALTER DATABASE {PREFIX}half RENAME TO {name}")
        connection.settings_dict["TEST"]["TEMPLATE"] = name
        return copied(keepdb=False)
    file = VAR_DIR / f"{name}.sqlite3"
    with alone():
        if not file.exists():
            for old in VAR_DIR.glob(f"{PREFIX}*"):
                old.unlink()
            migrate(str(half := VAR_DIR / f"{PREFIX}half.sqlite3"))
            half.rename(file)
        own = Path(connection.settings_dict["TEST"]["NAME"])
        for left in own.parent.glob(f"{own.name}-*"):  # a log that is another file's
            left.unlink()
        shutil.copyfile(file, own)
    return copied(keepdb=True)


def copied(*, keepdb: bool) -> list[Any]:
    """There is nothing to migrate in a copy, which takes a while to find out."""
    with mock.patch("django.core.management.call_command"):
        return setup_databases(verbosity=0, interactive=False, keepdb=keepdb, serialized_aliases=[])


def migrate(name: str) -> None:
    """A database of that name, migrated; nobody is connected to it then."""
    facts, before = connection.settings_dict, connection.settings_dict["NAME"]
    with mock.patch.dict(facts["TEST"], {"NAME": name}):
        connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    connection.close()
    if connection.vendor == "postgresql":
        connection.close_pool()
    facts["NAME"] = settings.DATABASES["default"]["NAME"] = before


@contextmanager
def alone() -> Iterator[None]:
    """One process at a time."""
    VAR_DIR.mkdir(parents=True, exist_ok=True)
    with (VAR_DIR / "template.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def templates() -> list[str]:
    with connection._nodb_cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [PREFIX])
        return [name for (name,) in cursor.fetchall()]


def forget(names: list[str]) -> None:
    for name in names:
        execute(f"DROP DATABASE {name}")


def execute(sql: str) -> None:
    with connection._nodb_cursor() as cursor:
        cursor.execute(sql)


def has_role() -> bool:
    """Whether there was somebody whom a migration grants its tables to."""
    if connection.vendor != "postgresql":
        return False
    with connection._nodb_cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [guarding.ROLE])
        return cursor.fetchone() is not None
