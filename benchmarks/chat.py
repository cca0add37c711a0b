"""Chat completions: rate, added latency, CPU and memory, beside a floor and the peers, in one run.

``python -m benchmarks.chat [--seconds 5] [--connections 1,16,64,256] [--targets hub,floor]``. The hub
commits the job before it calls the provider and the usage before it answers. Latency is *added*: what
a request takes beyond what the provider alone takes under the same load.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks import ground, peers
from benchmarks.peers import Target
from tools import services
from tools.launch import Launch

COLUMNS = ["target", "c", "requests/s", "added p50 ms", "added p99 ms", "CPU ms/request", "RSS MiB", "bad"]


@contextmanager
def floor(provider_url: str) -> Iterator[Target]:
    """The bare application: (URL, headers, pid)."""
    port = services.free_port("127.0.0.1")
    where = ["--port", str(port), "--no-access-log", "--loop", "uvloop", "--http", "httptools"]
    command = [sys.executable, "-m", "uvicorn", "benchmarks.floor:application", *where]
    env = {"FLOOR_UPSTREAM": f"{provider_url}/v1/chat/completions"}
    with ground.process(command, ground.TESTED_CORE, env) as pid:
        url = f"http://127.0.0.1:{port}/v1/chat/completions"
        ground.wait_for(url, post=ground.BODY)
        yield url, {}, pid


@contextmanager
def hub(launch: Launch, provider_url: str) -> Iterator[Target]:
    """The hub: (URL, headers, pid)."""
    with ground.hub(launch, provider_url) as (address, token, pid):
        yield f"{address}/v1/chat/completions", {"Authorization": f"Bearer {token}"}, pid


def measure(
    name: str, target: Target, alone: dict[int, dict[str, Any]], seconds: float
) -> Iterator[list[Any]]:
    """A row for each number of connections."""
    url, headers, pid = target
    for connections, direct in alone.items():
        before = ground.cpu_seconds(pid)
        told = ground.load(url, connections, seconds, headers=headers)
        spent = ground.cpu_seconds(pid) - before
        requests = told["rps"] * (seconds + 1)  # the warm-up costs CPU too
        yield [
            name,
            connections,
            told["rps"],
            told["p50_ms"] - direct["p50_ms"],
            told["p99_ms"] - direct["p99_ms"],
            spent * 1000 / requests,
            ground.memory_mib(pid),
            told["bad"],
        ]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--connections", default="1,16,64,256")
    parser.add_argument("--delays-ms", default="0,50")
    parser.add_argument("--targets", default="hub,floor,LiteLLM,Portkey")
    options = parser.parse_args()
    connections = [int(number) for number in options.connections.split(",")]
    names = options.targets.split(",")
    print(f"{ground.machine()}; {options.seconds:g} s a row; PostgreSQL and Redis as ./hub up starts them")
    with ground.servers() as launch:
        for delay_ms in map(float, options.delays_ms.split(",")):
            with ground.provider(delay_ms) as url:
                title = f"A provider that answers after {delay_ms:g} ms"
                ground.show(title, COLUMNS, _rows(launch, url, connections, options.seconds, names))


def _rows(
    launch: Launch, provider_url: str, connections: list[int], seconds: float, names: list[str]
) -> Iterator[list[Any]]:
    chat = f"{provider_url}/v1/chat/completions"
    alone = {number: ground.load(chat, number, seconds) for number in connections}
    targets = {
        "hub": lambda: hub(launch, provider_url),
        "floor": lambda: floor(provider_url),
        "LiteLLM": lambda: peers.litellm(provider_url),
        "Portkey": lambda: peers.portkey(provider_url),
    }
    for name in names:
        with targets[name]() as target:
            if target is not None:
                yield from measure(name, target, alone, seconds)
    for number, direct in alone.items():
        yield ["provider alone", number, direct["rps"], 0.0, 0.0, None, None, direct["bad"]]


if __name__ == "__main__":
    main()
