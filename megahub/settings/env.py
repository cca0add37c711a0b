"""Typed readers of the environment; with ``base``, ``dev``, ``test`` and ``prod`` its only readers."""

from __future__ import annotations

import os

from django.core.exceptions import ImproperlyConfigured


def text(name: str, default: str = "") -> str:
    """The variable, stripped; ``default`` when it is absent or empty."""
    return os.environ.get(name, "").strip() or default


def integer(name: str, default: int, least: int | None = None) -> int:
    """A whole number, ``least`` or more; raises ImproperlyConfigured naming the variable."""
    raw = text(name)
    try:
        found = int(raw) if raw else default
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} must be a whole number, not {raw!r}.") from error
    if least is not None and found < least:
        raise ImproperlyConfigured(f"{name} must be at least {least}, not {found}.")
    return found


def number(name: str, default: float) -> float:
    """A decimal number; raises ImproperlyConfigured naming the variable."""
    raw = text(name)
    try:
        return float(raw) if raw else default
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} must be a number, not {raw!r}.") from error


def flag(name: str, default: bool = False) -> bool:
    """true/false, 1/0, yes/no, on/off; raises ImproperlyConfigured naming the variable."""
    raw = text(name).lower()
    if not raw:
        return default
    if raw in {"1", "true", "yes", "on"}:
        return True
    if raw in {"0", "false", "no", "off"}:
        return False
    raise ImproperlyConfigured(f"{name} must be true or false, not {raw!r}.")


def words(name: str, default: str = "") -> list[str]:
    """A comma-separated list."""
    return [word.strip() for word in text(name, default).split(",") if word.strip()]


def broker(url: str) -> str:
    """A broker's URL as kombu wants it: it has another name for redis-py's Unix sockets."""
    if not url.startswith("unix://"):
        return url
    return f"redis+socket{url[4:]}".replace("?db=", "?virtual_host=")
