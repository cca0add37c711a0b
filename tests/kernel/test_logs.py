"""Logs that never hold a secret: canaries in every place where one could slip in."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import structlog

from megahub.kernel import logs
from megahub.kernel.logs import REDACTED, redact

CANARIES = [
    "sk-proj-aB3dE_fG5h-iJ7kL9mN0pQ",
    "sk-ant-api03-aB3dEfG5hIjK",
    "sk-sandbox1",
    "AIzaSyA1b2C3d4E5f6G7h8",
    "mh_live01_Ab3dEf6hIj9k",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0",
    "Bearer 3f7d9c2a1b8e4f60",
    "bearer 3f7d9c2a1b8e4f60",
    "Basic dXNlcjpwYXNzd29yZA==",
    "Token 3f7d9c2a1b8e4f60",
]


@contextmanager
def written(format: str) -> Iterator[io.StringIO]:
    """What is written with the hub's own configuration; the loggers are put back afterwards."""
    root = logging.getLogger()
    before = root.handlers[:], root.level, structlog.get_config()
    try:
        logs.configure({"format": format, "level": "INFO"})
        structlog.configure(cache_logger_on_first_use=False)
        stream = io.StringIO()
        (handler,) = root.handlers
        handler.setStream(stream)  # type: ignore[attr-defined]
        yield stream
    finally:
        root.handlers[:], level, config = before
        root.setLevel(level)
        structlog.configure(**config)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_it_works() -> None:
    with written("json") as stream:
        logging.getLogger("hub.test").warning("A call to %s took %d ms", "openai", 12)

    (line,) = lines(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "A call to openai took 12 ms", "logger": "hub.test", "level": "warning"}


@pytest.mark.parametrize("canary", CANARIES)
@pytest.mark.parametrize(
    "around", ["{}", "key={}", "'{}'", '{{"Authorization": "{}"}}', "({}, 7)", "a\n{}\nb"]
)
def test_redact(canary: str, around: str) -> None:
    found = redact(around.format(canary))

    assert canary not in found
    assert canary.rsplit(" ", maxsplit=1)[-1] not in found
    assert REDACTED in found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("postgres://hub:s3cret@db:5432/hub", "postgres://[redacted]@db:5432/hub"),
        ("redis://:s3cret@127.0.0.1:6379/0", "redis://[redacted]@127.0.0.1:6379/0"),
        ("amqp://hub:p%40ss@mq/", "amqp://[redacted]@mq/"),
        ("https://api.openai.com/v1/models", "https://api.openai.com/v1/models"),
        ("http://127.0.0.1:8000/a@b", "http://127.0.0.1:8000/a@b"),
        ("job ai_job_4f9a-1 of sk and a bearer of news", "job ai_job_4f9a-1 of sk and a bearer of news"),
        ("task-123456789", "task-123456789"),
        ("", ""),
    ],
)
def test_urls_and_innocents(text: str, found: str) -> None:
    assert redact(text) == found


class Holder:
    """Something whose repr gives it away."""

    def __init__(self, secret: str) -> None:
        self.secret = secret

    def __repr__(self) -> str:
        return f"Holder({self.secret!r})"


def leak(secret: str) -> None:
    raise RuntimeError(f"refused: {secret}")


@pytest.mark.parametrize("format", ["json", "console"])
@pytest.mark.parametrize("canary", CANARIES)
def test_canaries(canary: str, format: str) -> None:
    """In messages, arguments, fields at any depth, objects, exceptions and what was bound before."""
    log, struct = logging.getLogger("hub.test"), structlog.get_logger("hub.test")
    with written(format) as stream:
        log.warning(f"plain {canary}")
        log.warning("argument %s", canary)
        log.warning("object %s", Holder(canary))
        log.warning("headers %r", {"Authorization": canary})
        struct.warning("field", key=canary)
        struct.warning("deep", headers={"Authorization": [canary, {"again": (canary,)}]})
        struct.warning("object", holder=Holder(canary), raw=canary.encode(), error=ValueError(canary))
        with structlog.contextvars.bound_contextvars(token=canary):
            struct.warning("bound")
        try:
            leak(canary)
        except RuntimeError:
            log.exception("traceback")
            struct.exception("traceback", again=canary)
        log.warning("stack", stack_info=True)

    text = stream.getvalue()
    secret = canary.rsplit(" ", maxsplit=1)[-1]
    assert secret not in text
    assert text.count(REDACTED) >= 13
    assert "RuntimeError: refused: " in text


def test_what_is_no_secret_stays_what_it_is() -> None:
    with written("json") as stream:
        structlog.get_logger("hub.test").info(
            "done", ms=12, share=0.5, ok=True, nothing=None, models=["o3", {"n": 1}]
        )

    (line,) = lines(stream)
    assert {key: line[key] for key in ("ms", "share", "ok", "nothing", "models")} == {
        "ms": 12,
        "share": 0.5,
        "ok": True,
        "nothing": None,
        "models": ["o3", {"n": 1}],
    }


def test_levels() -> None:
    with written("json") as stream:
        logging.getLogger("hub.test").debug("not this")
        logging.getLogger("aiohttp.access").info("nor this")
        logging.getLogger("django.request").warning("nor this")
        logging.getLogger("django.request").error("but this")

    assert [line["event"] for line in lines(stream)] == ["but this"]
