"""System checks of an installation, run by ``check --deploy``: what is unwise rather than impossible.

With ``--database default``, as the role that the hub's processes sign in as, the database is asked too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.db import connections

MIN_METRICS_TOKEN = 24
ROLE = """
SELECT r.rolsuper, r.rolbypassrls, EXISTS (
    SELECT 1 FROM pg_class c WHERE c.relowner = r.oid AND c.oid = to_regclass('django_migrations'))
FROM pg_roles r WHERE r.rolname = current_user
"""


def check_settings(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """hub.E005 debug, E006 /metrics, E007 webhooks, W008 sandbox, E009 CORS, W010 hosts, W011 rows.

    hub.E014 OIDC without TLS.
    """
    return list(_of_settings())


def _of_settings() -> Iterator[CheckMessage]:
    if settings.DEBUG:
        yield Error("DEBUG is on: pages of errors show settings and rows to everybody.", id="hub.E005")
    if settings.HUB_METRICS_TOKEN and len(settings.HUB_METRICS_TOKEN) < MIN_METRICS_TOKEN:
        yield Error(
            f"HUB_METRICS_TOKEN has fewer than {MIN_METRICS_TOKEN} characters: /metrics is as good as open."
            " Make a longer one, or leave it empty: then nobody but a superuser reads it.",
            id="hub.E006",
        )
    if settings.HUB_WEBHOOKS_ALLOW_PRIVATE:
        yield Error(
            "HUB_WEBHOOKS_ALLOW_PRIVATE is on: companies' webhooks reach your own network.", id="hub.E007"
        )
    if settings.HUB_SANDBOX_URL:
        yield Warning(
            "HUB_SANDBOX_URL is set: companies without a key get the sandbox's invented answers.",
            id="hub.W008",
        )
    for origin in settings.HUB_CORS_ORIGINS:
        if not origin.startswith("https://") or "*" in origin:
            yield Error(
                f"HUB_CORS_ORIGINS: {origin!r} is no origin of https without a wildcard.", id="hub.E009"
            )
    if settings.HUB_OIDC_URL and not settings.HUB_OIDC_URL.startswith("https://"):
        yield Error("HUB_OIDC_URL is not https: anybody between could sign in.", id="hub.E014")
    if any(host.startswith(("*", ".")) for host in settings.ALLOWED_HOSTS):
        yield Warning("HUB_ALLOWED_HOSTS lets in names that you did not write down.", id="hub.W010")
    if _is_postgres() and not settings.HUB_ROW_SECURITY:
        yield Warning("HUB_ROW_SECURITY is off: PostgreSQL shows every row to every query.", id="hub.W011")


def check_role(app_configs: Any, databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """hub.E012: the database role is a superuser, or row-level security means nothing to it."""
    return [
        Error(
            f"The database role is {what}: row-level security does not bind it. Sign in as a role of"
            " NOSUPERUSER NOBYPASSRLS (docs/operations.md).",
            id="hub.E012",
        )
        for is_super, bypasses, _owns in _roles(databases)
        for what in ["a superuser" if is_super else bypasses and "one with BYPASSRLS"]
        if what
    ]


def check_owner(app_configs: Any, databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """hub.W013: the role owns tables, so that who has it can take their policies away."""
    return [
        Warning(
            "The database role owns the hub's tables. Let migrations sign in as their owner, and web,"
            " workers and beat as hub_app (docs/operations.md).",
            id="hub.W013",
        )
        for is_super, _bypasses, owns in _roles(databases)
        if owns and not is_super
    ]


def _roles(databases: Sequence[str] | None) -> Iterator[tuple[bool, bool, bool]]:
    """(superuser, BYPASSRLS, owns the tables) of each PostgreSQL among the databases."""
    for alias in databases or ():
        if connections[alias].vendor == "postgresql":
            with connections[alias].cursor() as cursor:
                cursor.execute(ROLE)
                yield cursor.fetchone()


def _is_postgres() -> bool:
    return connections["default"].vendor == "postgresql"
