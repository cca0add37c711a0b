"""A hub's own keys: made once, kept in files that their owner alone can read.

They reach the processes through their environment, never through a command line.
``python3 -m tools.keys > .env`` makes those of an installation, for docker compose.
"""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from tools.report import Fault

MAKERS: dict[str, Callable[[], str]] = {
    "HUB_SECRET_KEY": lambda: secrets.token_urlsafe(50),
    "HUB_JWT_KEY": lambda: secrets.token_urlsafe(64),
    "AI_ENCRYPTION_KEY": lambda: "local:" + base64.b64encode(secrets.token_bytes(32)).decode(),
}


def fresh() -> dict[str, str]:
    """Keys that nobody keeps, by their environment variables."""
    return {name: make() for name, make in MAKERS.items()}


def kept(folder: Path) -> dict[str, str]:
    """The keys of ``folder``, made where absent; one given in the environment comes first."""
    folder.mkdir(exist_ok=True, mode=0o700)
    return {
        name: os.environ.get(name) or _kept_value(folder / name.lower(), make)
        for name, make in MAKERS.items()
    }


def _kept_value(file: Path, make: Callable[[], str]) -> str:
    if not file.exists():
        write_private(file, make() + "\n")
    value = file.read_text().strip()
    if not value:
        raise Fault(f"{file} is empty: restore the key, or remove the file for a new one.")
    return value


def write_private(file: Path, text: str) -> None:
    """Write a file that its owner alone can read: whole or not at all."""
    half = file.with_name(file.name + ".new")
    half.unlink(missing_ok=True)
    handle = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    half.replace(file)


if __name__ == "__main__":
    roles = ("HUB_DB_PASSWORD", "HUB_DB_APP_PASSWORD", "HUB_DB_ADMIN_PASSWORD")
    passwords = {name: secrets.token_urlsafe(24) for name in roles}
    for name, value in (fresh() | passwords).items():
        print(f"{name}={value}")
