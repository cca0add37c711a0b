"""Master keys: made, written once, rotated."""

from __future__ import annotations

import base64
import stat
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from ai_providers import services as providers
from ai_providers.models import SealedKey
from ai_providers.selectors import base_url_of
from megahub.kernel import clock, vault
from megahub.tenancy.models import CompanyKey
from tests.world import Cast

SECRET = "sk-" + "a" * 30


def run(command: str, *args: Any) -> str:
    out = StringIO()
    call_command(command, *args, stdout=out)
    return out.getvalue()


def test_it_works() -> None:
    key_id, _, encoded = run("make_master_key", "--id", "k1").strip().partition(":")

    assert key_id == "k1"
    assert len(base64.b64decode(encoded, validate=True)) == 32
    assert run("make_master_key") != run("make_master_key")
    assert run("make_master_key").startswith(f"{clock.now():%Y-%m-%d}:")


def test_a_made_key_is_accepted(settings: Any) -> None:
    settings.AI_ENCRYPTION_KEY = run("make_master_key", "--id", "k1").strip()

    assert [key.id for key in vault.master_keys()] == ["k1"]


def test_it_is_written_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "master.key"

    said = run("make_master_key", "--id", "k1", "--write", str(path))

    assert said == f"Master key k1 is in {path}.\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    key = path.read_text()
    assert key.startswith("k1:")
    assert key.endswith("=\n")


def test_a_file_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    path.write_text("the only one")

    with pytest.raises(CommandError, match="File exists"):
        run("make_master_key", "--write", str(path))

    assert path.read_text() == "the only one"


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(CommandError, match="File exists"):
        run("make_master_key", "--write", str(tmp_path / "link"))

    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="No such file or directory"):
        run("make_master_key", "--write", str(tmp_path / "absent" / "master.key"))


@pytest.mark.parametrize("key_id", ["a:b", "a,b", "a b", "", "x" * 41])
def test_an_id_that_would_not_be_read_back(key_id: str) -> None:
    if key_id == "":
        assert run("make_master_key", "--id", key_id)  # as if it were absent
        return
    with pytest.raises(CommandError, match="An id has 1 to 40"):
        run("make_master_key", "--id", key_id)


def test_it_runs_before_there_is_a_key(tmp_path: Path) -> None:
    """The checks refuse to start without a master key; the command that makes one runs all the same."""
    environment = {
        "DJANGO_SETTINGS_MODULE": "megahub.settings.prod",
        "HUB_SECRET_KEY": "short",
        "HUB_VAR": str(tmp_path),
        "PATH": "",
    }

    done = subprocess.run(
        [sys.executable, "manage.py", "make_master_key", "--id", "first"],
        env=environment,
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.stderr == ""
    assert done.stdout.startswith("first:")


def test_rotation(cast: Cast, settings: Any) -> None:
    providers.store_keys(cast.company.pk, {"openai": SECRET})
    old = settings.AI_ENCRYPTION_KEY
    settings.AI_ENCRYPTION_KEY = f"{vault.new_master_key('next')},{old}"
    others = CompanyKey.objects.unscoped().exclude(master_key_id="next").count()

    assert run("rotate_master_key") == f"{others} data keys wrapped again, all are under next now.\n"
    assert run("rotate_master_key") == "0 data keys wrapped again, all are under next now.\n"

    row = CompanyKey.objects.of(cast.company.pk).get()
    assert row.master_key_id == "next"
    assert row.rewrapped_at is not None
    # The old key is not needed any more.
    settings.AI_ENCRYPTION_KEY = settings.AI_ENCRYPTION_KEY.split(",")[0]
    key = SealedKey.objects.of(cast.company.pk).get()
    assert key.open(base_url_of("openai")) == SECRET
    # And back, for the tests that follow.
    settings.AI_ENCRYPTION_KEY = f"{old},{settings.AI_ENCRYPTION_KEY}"
    assert run("rotate_master_key") == f"{others} data keys wrapped again, all are under dev now.\n"


def test_rotation_without_the_old_key_says_so(cast: Cast, settings: Any) -> None:
    providers.store_keys(cast.company.pk, {"openai": SECRET})
    settings.AI_ENCRYPTION_KEY = vault.new_master_key("stranger")

    with pytest.raises(CommandError, match="master key 'dev' is not configured"):
        run("rotate_master_key")

    assert CompanyKey.objects.of(cast.company.pk).get().master_key_id == "dev"
