"""Admission at a budget's edge: so many callers at once, room for fewer, round after round.

``python -m benchmarks.admission [--callers 200] [--rounds 50] [--room 50] [--webs 2]``. Each round raises
the budget over REST to exactly that room and lets all callers ask at once, spread over the web processes;
none of their jobs is run. To be admitted: exactly the room, each round, on PostgreSQL and on SQLite; and
what the budget then holds is the sum of the admitted, to the nano-dollar.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import aiohttp

from benchmarks import ground

CHAT = {**ground.BODY, "async": True}
REFUSED = "COST_LIMIT_EXCEEDED"
NANO = Decimal("0.000000001")


@dataclass(frozen=True)
class Round:
    """What became of one round's callers, and whether the budget holds what was admitted."""

    admitted: int
    refused: int
    other: int
    adds_up: bool
    seconds: float


class Edge:
    """One budget of a company, and its callers."""

    def __init__(self, session: aiohttp.ClientSession, urls: Sequence[str]) -> None:
        self.session = session
        self.urls = urls
        self.path = ""
        self.each = Decimal(0)

    async def open(self, remembered_seconds: float) -> None:
        """Make the budget and learn from one job what each of them holds."""
        budget = await self._asked("POST", "/ai/budgets/", {"period": "total", "limit": "1000"})
        self.path = f"/ai/budgets/{budget['id']}/"
        # The other processes remember budgets for seconds; from then on all of them know it.
        await asyncio.sleep(remembered_seconds)
        assert (await self._ask(0))[0] == 202, "the first job was not admitted"
        self.each = await self.held()

    async def held(self) -> Decimal:
        """What the budget holds, of real and of played jobs."""
        budget = await self._asked("GET", self.path)
        return Decimal(budget["current"]["held"]) + Decimal(budget["current_sandbox"]["held"])

    async def round(self, callers: int, room: int) -> Round:
        """Make room, let everybody ask, look what is held."""
        before = await self.held()
        limit = before + room * self.each + self.each - NANO
        await self._asked("PATCH", self.path, {"limit": str(limit)})
        began = time.perf_counter()
        answers = Counter(await asyncio.gather(*(self._ask(number) for number in range(callers))))
        seconds = time.perf_counter() - began
        admitted, refused = answers[202, ""], answers[403, REFUSED]
        adds_up = await self.held() == before + admitted * self.each
        return Round(admitted, refused, callers - admitted - refused, adds_up, seconds)

    async def _ask(self, number: int) -> tuple[int, str]:
        url = f"{self.urls[number % len(self.urls)]}/ai/openai/chat/"
        async with self.session.post(url, json=CHAT) as response:
            told = await response.json()
            return response.status, told.get("error_code", "")

    async def _asked(self, method: str, path: str, body: Any = None) -> Any:
        async with self.session.request(method, self.urls[0] + path, json=body) as response:
            assert response.status < 300, await response.text()
            return await response.json()


async def run(
    urls: Sequence[str], token: str, callers: int, rounds: int, room: int, remembered_seconds: float = 6
) -> list[Round]:
    """All rounds at a hub that is up at ``urls``, whose processes remember budgets for so long."""
    connector = aiohttp.TCPConnector(limit=0)
    headers = {"Authorization": f"Bearer {token}"}
    timeout = aiohttp.ClientTimeout(total=120)
    async with aiohttp.ClientSession(connector=connector, headers=headers, timeout=timeout) as session:
        edge = Edge(session, urls)
        await edge.open(remembered_seconds)
        return [await edge.round(callers, room) for _ in range(rounds)]


def row(name: str, found: Sequence[Round], room: int) -> list[Any]:
    """A line of the table."""
    times = sorted(each.seconds for each in found)
    return [
        name,
        len(found),
        sum(each.admitted == room for each in found),
        f"{min(each.admitted for each in found)} … {max(each.admitted for each in found)}",
        sum(each.refused for each in found),
        sum(each.other for each in found),
        "yes" if all(each.adds_up for each in found) else "NO",
        times[len(times) // 2],
    ]


COLUMNS = ["database", "rounds", "exact", "admitted", "refused", "other", "sum held", "s a round"]


@contextmanager
def webs(database: str, count: int) -> Iterator[tuple[list[str], str]]:
    """So many web processes on servers of their own; their addresses, and a token of alice's."""
    with ground.servers(lite=database == "SQLite") as launch, ExitStack() as stack:
        opened = [stack.enter_context(ground.hub(launch, "http://127.0.0.1:9")) for _ in range(count)]
        yield [address for address, _, _ in opened], opened[0][1]


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--callers", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--room", type=int, default=50)
    parser.add_argument("--webs", type=int, default=2)
    parser.add_argument("--databases", default="PostgreSQL,SQLite")
    options = parser.parse_args()
    found: dict[str, list[Round]] = {}

    def measured() -> Iterator[list[Any]]:
        for name in options.databases.split(","):
            with webs(name, options.webs) as (urls, token):
                found[name] = asyncio.run(run(urls, token, options.callers, options.rounds, options.room))
            yield row(name, found[name], options.room)

    title = f"{options.callers} callers at once over {options.webs} web processes, room for {options.room}"
    ground.show(title, COLUMNS, measured())
    right = all(each.admitted == options.room and each.adds_up for f in found.values() for each in f)
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
