"""What is remembered for seconds: loaded once for all, ahead of time, never older than it may be."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from megahub.kernel import loop
from megahub.kernel.cache import ShortLived
from megahub.kernel.errors import NotFound

TTL = 0.4


class Loads:
    """Counts its loads; ``gate`` holds one back, ``error`` is raised."""

    def __init__(self) -> None:
        self.count = 0
        self.gate = threading.Event()
        self.gate.set()
        self.error: Exception | None = None

    def __call__(self, key: str) -> str:
        self.count += 1
        number = self.count
        self.gate.wait(5)
        if self.error is not None:
            raise self.error
        return f"{key}{number}"


@pytest.fixture
def loads() -> Loads:
    return Loads()


def test_it_works(loads: Loads) -> None:
    cache = ShortLived(loads, TTL)

    assert [cache.get("a"), cache.get("a"), loop.run(cache.aget("a")), cache.get("b")] == ["a1"] * 3 + [
        "b2"
    ]


def test_once_for_all_who_wait(loads: Loads) -> None:
    cache = ShortLived(loads, TTL)

    async def ask() -> list[str]:
        return await asyncio.gather(*(cache.aget("a") for _ in range(50)))

    assert (set(loop.run(ask())), loads.count) == ({"a1"}, 1)


def test_it_is_loaded_ahead_and_nobody_waits(loads: Loads) -> None:
    cache = ShortLived(loads, TTL)

    async def ask() -> list[str]:
        found = [await cache.aget("a")]
        await asyncio.sleep(TTL * 0.6)
        loads.gate.clear()
        found += [await cache.aget("a"), await cache.aget("a")]
        loads.gate.set()
        while loads.count < 2 or cache._loading:
            await asyncio.sleep(0.005)
        return [*found, await cache.aget("a")]

    assert loop.run(ask()) == ["a1", "a1", "a1", "a2"]
    assert loads.count == 2


def test_it_never_gets_too_old(loads: Loads) -> None:
    cache = ShortLived(loads, TTL)
    assert loop.run(cache.aget("a")) == "a1"

    time.sleep(TTL * 1.1)

    assert loop.run(cache.aget("a")) == "a2"


def test_a_refusal_is_remembered_too(loads: Loads) -> None:
    cache = ShortLived(loads, TTL)
    loads.error = NotFound()

    for _ in range(3):
        with pytest.raises(NotFound):
            loop.run(cache.aget("a"))

    assert loads.count == 1


def test_another_error_is_not(loads: Loads) -> None:
    cache = ShortLived(loads, TTL)
    loads.error = OSError("away")

    for _ in range(2):
        with pytest.raises(OSError, match="away"):
            loop.run(cache.aget("a"))

    assert loads.count == 2


def test_forgotten(loads: Loads) -> None:
    cache = ShortLived(loads, TTL)
    cache.get("a")
    cache.get("b")

    cache.forget("a")

    assert (cache.get("a"), cache.get("b")) == ("a3", "b2")


@pytest.mark.parametrize("key", ["a", None])
def test_what_was_forgotten_while_it_was_loaded_is_loaded_again(loads: Loads, key: str | None) -> None:
    """The load may have read what the change was about to replace."""
    cache = ShortLived(loads, TTL)

    async def ask() -> list[str]:
        loads.gate.clear()
        before = asyncio.ensure_future(cache.aget("a"))
        while not loads.count:
            await asyncio.sleep(0.005)
        cache.forget(key)
        after = asyncio.ensure_future(cache.aget("a"))
        while loads.count < 2:
            await asyncio.sleep(0.005)
        loads.gate.set()
        return [await before, await after]

    assert loop.run(ask()) == ["a1", "a2"]
    assert cache.get("a") != "a1"


def test_many_are_loaded_together(loads: Loads) -> None:
    cache = ShortLived(loads, TTL)
    asked: list[list[str]] = []

    def load_all(keys: list[str]) -> dict[str, str]:
        asked.append(keys)
        return {key: loads(key) for key in keys}

    assert cache.get("b") == "b1"
    assert cache.get_all(["a", "b", "c"], load_all) == {"a": "a2", "b": "b1", "c": "c3"}
    assert cache.get_all(["c", "a"], load_all) == {"a": "a2", "c": "c3"}
    assert cache.get("a") == "a2"
    assert asked == [["a", "c"]]
