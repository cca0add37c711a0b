"""System checks: the hub does not start with keys that are missing, weak or everybody's."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured

from megahub.kernel import vault
from megahub.tenancy import deployment

MIN_JWT_KEY_BYTES = 64
MIN_SECRET_KEY_LENGTH = 50
DEVELOPMENT_MARK = "development-only"


def register_all() -> None:
    """Called once, when the app is ready."""
    checks.register(check_keys, checks.Tags.security)
    checks.register(deployment.check_settings, checks.Tags.security, deploy=True)
    checks.register(deployment.check_role, checks.Tags.database, deploy=True)
    checks.register(deployment.check_owner, checks.Tags.database, deploy=True)


def check_keys(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """hub.E001 secret key, hub.E002 JWT key, hub.E003 master key, hub.E004 a key that is shared."""
    found: list[CheckMessage] = []
    if len(settings.SECRET_KEY) < MIN_SECRET_KEY_LENGTH:
        found.append(
            Error(
                f"HUB_SECRET_KEY must have at least {MIN_SECRET_KEY_LENGTH} characters.",
                id="hub.E001",
            )
        )
    if len(settings.HUB_JWT_KEY.encode()) < MIN_JWT_KEY_BYTES:
        found.append(Error(f"HUB_JWT_KEY must have at least {MIN_JWT_KEY_BYTES} bytes.", id="hub.E002"))
    try:
        vault.master_keys()
    except ImproperlyConfigured as error:
        found.append(Error(str(error), id="hub.E003"))
    if settings.HUB_KEYS_ARE_OWN and _shared():
        found.append(
            Error(
                "HUB_SECRET_KEY, HUB_JWT_KEY and AI_ENCRYPTION_KEY must be three different keys of"
                " your own, none of them the development ones.",
                id="hub.E004",
            )
        )
    return found


def require_keys() -> None:
    """Raise ImproperlyConfigured unless the keys are sound: servers do not run Django's checks."""
    if found := check_keys(None):
        raise ImproperlyConfigured(" ".join(f"({error.id}) {error.msg}" for error in found))


def _shared() -> bool:
    keys = [settings.SECRET_KEY, settings.HUB_JWT_KEY, settings.AI_ENCRYPTION_KEY]
    return len(set(keys)) < len(keys) or any(
        DEVELOPMENT_MARK in key or key.startswith("dev:") for key in keys
    )
