"""The hot lane asks nothing of Django's database layer, nor of a thread, between request and answer."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from asgiref.sync import SyncToAsync
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from megahub.kernel import loop
from tests import world
from tests.conftest import Api
from tests.world import Cast

CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}
#: The heartbeat has a thread and a connection of its own.
NOT_A_REQUESTS = "hub-beat"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is asked of Django's cursors and connections, and of threads, from wherever."""
    heard: list[str] = []

    def listening(what: str, real: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            if threading.current_thread().name != NOT_A_REQUESTS:
                heard.append(f"{what} in {threading.current_thread().name}: {args[1:2]}")
            return real(*args, **kwargs)

        return call

    for name in ("execute", "executemany", "callproc"):
        monkeypatch.setattr(CursorWrapper, name, listening(name, getattr(CursorWrapper, name)))
    for name in ("connect", "cursor"):
        real = getattr(BaseDatabaseWrapper, name)
        monkeypatch.setattr(BaseDatabaseWrapper, name, listening(name, real))
    monkeypatch.setattr(loop._readers, "submit", listening("a reader", loop._readers.submit))
    monkeypatch.setattr(SyncToAsync, "__call__", listening("a thread", SyncToAsync.__call__))
    return heard


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", CHAT),
        ("/v1/chat/completions", {**CHAT, "stream": True}),
        ("/v1/embeddings", {"model": "text-embedding-3-small", "input": "Hello"}),
        ("/ai/openai/chat/", CHAT),
        ("/ai/openai/chat/", {**CHAT, "async": True}),
    ],
    ids=["chat", "stream", "embeddings", "ai", "later"],
)
@pytest.mark.parametrize("with_key", [False, True], ids=["token", "key"])
def test_no_query_no_connection_no_thread(
    api: Api, cast: Cast, rung: list[Any], asked: list[str], path: str, body: Any, with_key: bool
) -> None:
    budget = world.make_budget(cast.company, "5")
    caller = api.as_(cast.alice.api_key() if with_key else cast.alice)
    assert caller.post(path, body).status_code < 300  # now it is known who they are
    assert asked != []
    asked.clear()

    response = caller.post(path, body)

    assert response.status_code < 300
    assert asked == []
    # It was written all the same.
    window = world.window(budget)
    assert window is not None
    assert window.reserved + window.spent > 0
    assert asked != []
