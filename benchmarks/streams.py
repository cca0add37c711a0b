"""Streams: the time to the first token that a gateway adds, and five hundred streams on one process.

``python -m benchmarks.streams [--seconds 8] [--targets hub,LiteLLM,Portkey]``. The provider sends its
first token after 50 ms and 20 tokens, 20 ms apart (100 ms in the crowd); what it takes alone under the
same load is taken off. The hub commits each job before the call and its usage before ``[DONE]``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from benchmarks import ground, peers
from benchmarks.chat import hub
from benchmarks.peers import Target
from tools.launch import Launch

COLUMNS = [
    "target", "c", "streams/s", "first token added p50 ms", "p99 ms", "whole stream added p50 ms",
    "p99 ms", "CPU ms/stream", "RSS MiB", "bad",
]  # fmt: skip
BODY = {**ground.BODY, "stream": True}
CROWD = 500


def measure(name: str, target: Target, c: int, alone: dict[str, Any], seconds: float) -> list[Any]:
    """One row."""
    url, headers, pid = target
    before = ground.cpu_seconds(pid)
    told = ground.load(url, c, seconds, headers=headers, body=BODY)
    spent = ground.cpu_seconds(pid) - before
    if told["bad"] >= told["requests"]:  # it does not stream at all: its times say nothing
        return [name, c, *[None] * 7, told["bad"]]
    added = [told[key] - alone[key] for key in ("first_p50_ms", "first_p99_ms", "p50_ms", "p99_ms")]
    streams = told["requests"] + c  # those of the warm-up cost CPU too
    return [
        name, c, told["rps"], *added, spent * 1000 / streams, ground.memory_mib(pid), told["bad"]
    ]  # fmt: skip


def rows(
    launch: Launch, provider_url: str, connections: list[int], seconds: float, names: list[str]
) -> Iterator[list[Any]]:
    """The targets under each number of connections."""
    chat = f"{provider_url}/v1/chat/completions"
    alone = {c: ground.load(chat, c, seconds, body=BODY) for c in connections}
    targets = {
        "hub": lambda: hub(launch, provider_url),
        "LiteLLM": lambda: peers.litellm(provider_url),
        "Portkey": lambda: peers.portkey(provider_url),
    }
    for name in names:
        with targets[name]() as target:
            if target is not None:
                yield from (measure(name, target, c, alone[c], seconds) for c in connections)
    for c, direct in alone.items():
        yield ["provider alone", c, direct["rps"], 0.0, 0.0, 0.0, 0.0, None, None, direct["bad"]]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--targets", default="hub,LiteLLM,Portkey")
    options = parser.parse_args()
    names = options.targets.split(",")
    print(f"{ground.machine()}; {options.seconds:g} s a row; PostgreSQL and Redis as ./hub up starts them")
    with ground.servers() as launch:
        with ground.provider(50, tokens=20, between_ms=20) as url:
            title = "The first token, after 50 ms; 20 tokens, 20 ms apart"
            ground.show(title, COLUMNS, rows(launch, url, [1, 16, 64], options.seconds, names))
        with ground.provider(50, tokens=20, between_ms=100) as url:
            title = f"{CROWD} streams at once; 20 tokens, 100 ms apart"
            ground.show(title, COLUMNS, rows(launch, url, [CROWD], options.seconds, names))


if __name__ == "__main__":
    main()
