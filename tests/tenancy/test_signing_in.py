"""A second factor and a provider of identities are off unless asked for; tests/accounts has them on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client

from tests.processes import clean_env
from tools import services
from tools.report import ROOT


def test_their_tables_are_always_there() -> None:
    """Turning one on is a setting and nothing more: no migration is left to make."""
    there = set(connection.introspection.table_names())

    assert {"mfa_authenticator", "socialaccount_socialaccount", "account_emailaddress"} <= there


def test_off_by_default() -> None:
    assert not settings.HUB_ACCOUNTS
    assert Client().get("/accounts/login/").status_code == 404
    assert Client().get("/admin/login/").status_code == 200


@pytest.mark.any_database
@pytest.mark.timeout(300)
def test_with_both_of_them(tmp_path: Path) -> None:
    """In a process of its own: they have paths, which are there or not from the beginning."""
    env = clean_env(
        DATABASE_URL=f"sqlite:///{tmp_path / 'accounts.sqlite3'}",
        REDIS_URL="",
        HUB_VAR=str(tmp_path),
        HUB_TOTP="required",
        HUB_OIDC_URL=f"http://127.0.0.1:{services.free_port('127.0.0.1')}",
        HUB_OIDC_CLIENT_ID="hub-client",
        HUB_OIDC_CLIENT_SECRET="hub-secret-of-the-test",
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/accounts"]

    ran = subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=280
    )

    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-2000:]
    assert " skipped" not in ran.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"HUB_TOTP": "maybe"}, "HUB_TOTP must be one of"),
        ({"HUB_OIDC_URL": "https://login.example.com"}, "HUB_OIDC_URL needs HUB_OIDC_CLIENT_ID"),
    ],
)
@pytest.mark.any_database
def test_half_of_a_setting_is_refused(given: dict[str, str], said: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", "import megahub.settings.test"],
        cwd=ROOT, env=clean_env(**given), capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert ran.returncode == 1
    assert said in ran.stderr
