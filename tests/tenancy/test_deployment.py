"""``check --deploy`` says what is unwise of an installation; a sound one is silent."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest
from django.conf import settings as live
from django.core.checks import registry
from django.db import OperationalError, connection

from megahub.kernel.sql import on_postgres
from megahub.tenancy import deployment, guarding

SOUND = {
    "DEBUG": False,
    "HUB_METRICS_TOKEN": "m" * 24,
    "HUB_WEBHOOKS_ALLOW_PRIVATE": False,
    "HUB_SANDBOX_URL": "",
    "HUB_CORS_ORIGINS": ["https://app.example.com"],
    "ALLOWED_HOSTS": ["hub.example.com"],
    "HUB_ROW_SECURITY": True,
    "HUB_OIDC_URL": "https://login.example.com",
}
postgres_only = pytest.mark.skipif(not on_postgres(), reason="roles are PostgreSQL's")


@pytest.fixture(autouse=True)
def sound(settings: Any) -> None:
    for name, value in SOUND.items():
        setattr(settings, name, value)


def found() -> list[str | None]:
    return [each.id for each in deployment.check_settings(None)]


def test_a_sound_installation(settings: Any) -> None:
    assert found() == []
    settings.HUB_METRICS_TOKEN = ""  # nobody's but superusers'
    assert found() == []


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("DEBUG", True, "hub.E005"),
        ("HUB_METRICS_TOKEN", "m" * 23, "hub.E006"),
        ("HUB_WEBHOOKS_ALLOW_PRIVATE", True, "hub.E007"),
        ("HUB_SANDBOX_URL", "http://127.0.0.1:1", "hub.W008"),
        ("HUB_CORS_ORIGINS", ["http://app.example.com"], "hub.E009"),
        ("HUB_CORS_ORIGINS", ["*"], "hub.E009"),
        ("HUB_CORS_ORIGINS", ["https://*.example.com"], "hub.E009"),
        ("ALLOWED_HOSTS", ["*"], "hub.W010"),
        ("HUB_OIDC_URL", "http://login.example.com", "hub.E014"),
        ("ALLOWED_HOSTS", [".example.com"], "hub.W010"),
    ],
)
def test_what_is_unwise(settings: Any, name: str, value: Any, told: str) -> None:
    setattr(settings, name, value)

    assert found() == [told]


def test_they_are_registered_for_deployments() -> None:
    registered = set(registry.registry.deployment_checks)

    assert {deployment.check_settings, deployment.check_role, deployment.check_owner} <= registered


@postgres_only
class TestRoles:
    @staticmethod
    def asked(monkeypatch: pytest.MonkeyPatch, role: str) -> list[str | None]:
        """What is said of another role of the same server."""
        with closing(connection.copy()) as other:
            other.settings_dict = {**connection.settings_dict, "USER": role, "OPTIONS": {}}
            try:
                other.ensure_connection()
            except OperationalError:  # CI's own server lets them in; one that was given may not
                pytest.skip(f"this server lets nobody sign in as {role} without a password")
            monkeypatch.setattr(deployment, "connections", {"default": other})
            told = [*deployment.check_role(None, ["default"]), *deployment.check_owner(None, ["default"])]
        return [each.id for each in told]

    def test_no_row_security(self, settings: Any) -> None:
        settings.HUB_ROW_SECURITY = False

        assert found() == ["hub.W011"]

    def test_a_superuser(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.asked(monkeypatch, "postgres") == ["hub.E012"]

    def test_the_owner(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.asked(monkeypatch, "hub") == ["hub.W013"]

    @pytest.mark.skipif(not live.HUB_ROW_SECURITY, reason="with PYTEST_ROW_SECURITY=0 it has no rights")
    def test_the_application(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.asked(monkeypatch, guarding.ROLE) == []

    def test_no_database_is_asked_unless_named(self) -> None:
        assert deployment.check_role(None) == deployment.check_owner(None, None) == []
