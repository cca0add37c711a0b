"""The buckets in Redis: many requests' buckets in one trip, each all or nothing, by one script.

Requests that come while a trip is under way wait for the next one together. The script is the arithmetic of
``domain/rates.py``; Redis runs it for one caller at a time, which makes it exact across processes.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Sequence
from dataclasses import dataclass

import orjson
import redis.asyncio as redis
from django.conf import settings
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from ai_usage.domain.rates import Standing, Want

#: A Redis that does not answer by then is taken for gone.
PATIENCE_SECONDS = 1.0
MOST_AT_ONCE = 200
#: What went wrong with Redis, whatever it was.
GONE = (RedisError, OSError, TimeoutError)

SCRIPT = """
local now = tonumber(ARGV[2])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local answers = {}
for number, request in ipairs(cjson.decode(ARGV[1])) do
  local since, wants = request[1], request[2]
  local buckets, fits = {}, true
  for place, want in ipairs(wants) do
    local key, limit, amount = want[1], want[2], want[3] * 60000
    local owed, at, empty = 0, now, now
    local known = redis.call('GET', key)
    if known then
      local a, b, c = string.match(known, '(%d+):(%d+):(%d+)')
      at = math.max(now, tonumber(b))
      owed = tonumber(a) - limit * (at - tonumber(b))
      empty = tonumber(c)
      if owed <= 0 then owed, empty = 0, at end
    end
    if since == 0 and owed + amount > limit * 60000 then fits = false end
    buckets[place] = {key, limit, amount, owed, at, empty}
  end
  local answer = {fits and 1 or 0, now}
  for place, bucket in ipairs(buckets) do
    local key, limit, amount, owed, at, empty = unpack(bucket)
    local wanted = fits and not (since > 0 and amount < 0 and empty > since)
    if wanted then owed = math.max(0, owed + amount) end
    if wanted and amount ~= 0 then
      local value = string.format('%.0f:%.0f:%.0f', owed, at, empty)
      redis.call('SET', key, value, 'PX', math.ceil(owed / limit) + 60000)
    end
    answer[#answer + 1] = owed
  end
  answers[number] = answer
end
return answers
"""


@dataclass(frozen=True, slots=True)
class Ask:
    """What one request takes (``since_ms`` 0), or what is put right of what it took at ``since_ms``."""

    company_id: int
    wants: tuple[Want, ...]
    since_ms: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether it was let in, when (by the clock of whoever counts), and the buckets after it."""

    is_in: bool
    at_ms: int
    standings: tuple[Standing, ...]


class Wire:
    """One event loop's way to Redis."""

    def __init__(self) -> None:
        self._client = redis.Redis.from_url(
            settings.REDIS_URL,
            socket_timeout=PATIENCE_SECONDS,
            socket_connect_timeout=PATIENCE_SECONDS,
            # Asked again after a silence, it would count twice.
            retry=Retry(NoBackoff(), 0),
        )
        self._script = self._client.register_script(SCRIPT)
        self._waiting: list[tuple[Ask, asyncio.Future[Answer]]] = []
        self._running: asyncio.Task[None] | None = None

    def put(self, ask: Ask) -> asyncio.Future[Answer]:
        """Have it asked with the next trip."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((ask, future))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        return future

    async def close(self) -> None:
        if self._running is not None:
            await asyncio.wait([self._running])
        await self._client.aclose()

    async def _run(self) -> None:
        while self._waiting:
            trip, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
            try:
                answers = await self._ask_all([ask for ask, _ in trip])
            except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must hear of it
                for _, future in trip:
                    if not future.done():
                        future.set_exception(error)
                continue
            for (_, future), answer in zip(trip, answers, strict=True):
                if not future.done():
                    future.set_result(answer)

    async def _ask_all(self, asks: Sequence[Ask]) -> list[Answer]:
        told = [
            [ask.since_ms, [[key_of(ask.company_id, want), want.limit, want.amount] for want in ask.wants]]
            for ask in asks
        ]
        found = await self._script(args=[orjson.dumps(told), FROZEN_MS])
        return [
            Answer(
                bool(is_in),
                int(at_ms),
                tuple(Standing(want, int(each)) for want, each in zip(ask.wants, owed, strict=True)),
            )
            for ask, (is_in, at_ms, *owed) in zip(asks, found, strict=True)
        ]


#: What time it is, for tests; 0: Redis' own.
FROZEN_MS = 0


def key_of(company_id: int, want: Want) -> str:
    """A bucket's name in Redis."""
    return f"hub:rate:{company_id}:{want.ceiling.id}:{want.unit}"


def wire() -> Wire:
    """The running loop's wire."""
    loop = asyncio.get_running_loop()
    found = _wires.get(loop)
    if found is None:
        found = _wires[loop] = Wire()
    return found


async def asked(ask: Ask) -> Answer:
    """Ask with the next trip. Raises one of GONE."""
    return await wire().put(ask)


async def close() -> None:
    """Close the running loop's wire."""
    found = _wires.pop(asyncio.get_running_loop(), None)
    if found is not None:
        await found.close()


_wires: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Wire] = weakref.WeakKeyDictionary()
