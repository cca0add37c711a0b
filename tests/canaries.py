"""Secrets that a run of the tests makes are looked for in all that the run leaves behind.

Every token, API key and sealed secret is noted where it is made, the cast's password and the hub's own
keys beforehand. What is printed (logs as in production) is looked through after each test; at the end
files, logs, Redis, mails and events are. conftest.py makes the session red for what is found.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import redis
from django.conf import settings

from megahub.delivery.models import Mail, Outbox
from megahub.kernel import vault
from megahub.tenancy import tokens

#: What people of the cast sign in with (tests/world.py).
PASSWORD = b"correct horse"
WORD = re.compile(rb"[A-Za-z0-9_.~-]{16,}")
#: Of a secret that is cut off, so much is a secret still.
MARK = 24
#: "xxxxxxxxxxxxxxxxxxxxxxxx" is sealed by tests of too long keys, and fills a file's line elsewhere.
DIFFERENT = 6


class Canaries:
    """What must be nowhere, and where it was."""

    def __init__(self) -> None:
        self.known: set[bytes] = set()
        self.found: list[str] = []

    def note(self, *secrets: str) -> None:
        words = {_mark(secret.encode()) for secret in secrets if WORD.fullmatch(secret.encode())}
        self.known |= {word for word in words if len(set(word)) >= DIFFERENT}

    def look(self, where: str, text: bytes) -> None:
        words = {_mark(word) for word in WORD.findall(text)}
        if words & self.known or PASSWORD in text:
            self.found.append(where)


def _mark(word: bytes) -> bytes:
    """Tokens of one kind begin alike: they are known by the whole of them."""
    return word.rstrip(b".") if word.startswith(b"eyJ") else word[:MARK]


#: Those of this process.
OURS = Canaries()


def plant() -> None:
    """From here on every secret that is made is noted."""
    OURS.note(settings.SECRET_KEY, settings.HUB_JWT_KEY)
    tokens.issue = _noting(tokens.issue, lambda made, _: made)
    tokens.new_api_key = _noting(tokens.new_api_key, lambda made, _: made[:1])
    vault.seal = _noting(vault.seal, lambda _, asked: asked[1:2])


def _noting(real: Callable[..., Any], secrets_of: Callable[[Any, tuple[Any, ...]], Any]) -> Any:
    def noting(*args: Any, **kwargs: Any) -> Any:
        made = real(*args, **kwargs)
        OURS.note(*secrets_of(made, args))
        return made

    return noting


def printed(where: str, sections: list[tuple[str, str]]) -> None:
    """What a test printed, but for pytest's own list of log records, which are not redacted yet."""
    for name, text in sections:
        if "log" not in name:
            OURS.look(f"{where}: {name}", text.encode(errors="replace"))


def everywhere() -> list[str]:
    """Look through what is left; where something was found in this run."""
    for path in _files():
        OURS.look(str(path), path.read_bytes())
    for where, text in [*_rows(), *_redis()]:
        OURS.look(where, text)
    return OURS.found


def _files() -> Iterator[Path]:
    folders = (settings.HUB_FILES_DIR, settings.HUB_SPOOL_DIR, settings.VAR_DIR / "bell")
    for folder in folders:
        yield from (path for path in Path(folder).rglob("*") if path.is_file())
    yield from settings.VAR_DIR.rglob("*.log")
    anchors = Path(settings.HUB_AUDIT_ANCHORS)
    if anchors.exists():
        yield anchors


def _rows() -> Iterator[tuple[str, bytes]]:
    for mail in Mail.objects.unscoped().iterator():
        yield f"mail {mail.pk}", f"{mail.subject} {mail.text} {mail.history} {mail.error}".encode()
    for pk, data in Outbox.objects.unscoped().values_list("pk", "data").iterator():
        yield f"event {pk}", str(data).encode()


def _redis() -> Iterator[tuple[str, bytes]]:
    if not settings.REDIS_URL:
        return
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        read: dict[bytes, Callable[[bytes], Any]] = {
            b"string": client.get,
            b"list": lambda key: client.lrange(key, 0, -1),
            b"hash": client.hgetall,
            b"set": client.smembers,
            b"zset": lambda key: client.zrange(key, 0, -1),
        }
        for key in client.scan_iter("*", count=1000):
            value = read[client.type(key)](key)
            yield f"Redis: {key.decode(errors='replace')}", key + b" " + repr(value).encode()
