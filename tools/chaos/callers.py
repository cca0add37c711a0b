"""Callers of several companies who send jobs, and write down what they asked and what they were told.

An operation is carried on with one Idempotency-Key until the answer is definite: a client that gets no
answer, or a 5xx, asks again. The history is what a client can know, nothing more.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import aiohttp

How = Literal["now", "later", "stream", "cancelled"]
Type = Literal["invoke", "ok", "fail", "info", "cancel"]

MODEL = "gpt-4o-mini"
WAYS: dict[How, int] = {"now": 45, "later": 35, "stream": 14, "cancelled": 6}
ANSWER_SECONDS = 30.0
PAUSE_SECONDS = (0.3, 2.0)
#: How much longer than a lease a caller asks again: a job whose process was killed ends in between.
PATIENCE_SECONDS = 60.0
#: Without these an answer leaves open what became of the request.
DEFINITE = frozenset({400, 401, 402, 403, 404, 413, 415, 422})


@dataclass(frozen=True)
class Seen:
    """A line of the history. ``text`` is what the model is said to have answered."""

    op: int
    tenant: str
    how: How
    type: Type
    at: float
    status: int | None = None
    job_id: str | None = None
    text: str | None = None


@dataclass(frozen=True)
class Operation:
    """One thing that a caller wants done."""

    op: int
    tenant: str
    how: How
    delay_ms: int

    @property
    def mark(self) -> str:
        """What stands in the prompt, and comes back in the answer."""
        return f"op-{self.op}-{self.tenant}"

    @property
    def body(self) -> dict[str, Any]:
        said = f"{self.mark} [sandbox: delay={self.delay_ms}ms]"
        body = {"model": MODEL, "messages": [{"role": "user", "content": said}], "max_tokens": 60}
        if self.how == "stream":
            return {**body, "stream": True}
        return {**body, "async": True} if self.how in ("later", "cancelled") else body


def operations(seed: int, count: int, tenants: list[str]) -> Iterator[Operation]:
    """What is asked in a run."""
    chance = random.Random(seed + 1)
    for op in range(count):
        (how,) = chance.choices(list(WAYS), list(WAYS.values()))
        yield Operation(op, chance.choice(tenants), how, int(chance.triangular(0, 1500, 100)))


@dataclass
class Callers:
    """``tokens`` by tenant; ``history`` is what they saw."""

    url: str
    seed: int
    tokens: dict[str, str]
    patience_seconds: float
    history: list[Seen] = field(default_factory=list)

    async def carry_out(self, asked: list[Operation], seconds: float) -> None:
        """All of the operations, spread evenly over so many seconds; returns when each is over."""
        began = time.monotonic()
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        connector = aiohttp.TCPConnector(limit=0, force_close=False)
        opened = aiohttp.ClientSession(self.url, timeout=timeout, connector=connector)
        async with opened as session, asyncio.TaskGroup() as group:
            for number, operation in enumerate(asked):
                due = began + number * seconds / len(asked)
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                group.create_task(self._carry_on(session, operation))

    async def _carry_on(self, session: aiohttp.ClientSession, asked: Operation) -> None:
        until = time.monotonic() + self.patience_seconds
        chance = random.Random(f"{self.seed} {asked.op}")
        while True:
            self._note(asked, "invoke")
            seen = await self._ask(session, asked)
            self.history.append(seen)
            if seen.type != "info" or asked.how == "stream" or time.monotonic() > until:
                break
            await asyncio.sleep(chance.uniform(*PAUSE_SECONDS))
        if asked.how == "cancelled" and seen.job_id is not None:
            await asyncio.sleep(chance.uniform(0, asked.delay_ms / 500))
            await self._cancel(session, asked, seen.job_id)

    def _note(self, asked: Operation, what: Type, **more: Any) -> Seen:
        seen = Seen(asked.op, asked.tenant, asked.how, what, time.time(), **more)
        self.history.append(seen)
        return seen

    async def _ask(self, session: aiohttp.ClientSession, asked: Operation) -> Seen:
        headers = {"Authorization": f"Bearer {self.tokens[asked.tenant]}"}
        headers["Idempotency-Key"] = f"chaos-{self.seed}-{asked.mark}"
        told: dict[str, Any] = {}
        try:
            async with session.post("/ai/openai/chat/", json=asked.body, headers=headers) as response:
                told |= {"status": response.status, "job_id": response.headers.get("X-MegaHub-Job-Id")}
                if asked.how == "stream" and response.status == 200:
                    told["text"] = await _streamed(response)
                    return self._seen(asked, "ok", told)
                body = await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError, OSError):
            return self._seen(asked, "info", told)
        return self._judged(asked, response, told, body)

    def _judged(
        self, asked: Operation, response: aiohttp.ClientResponse, told: dict[str, Any], body: Any
    ) -> Seen:
        if response.status in (200, 202):
            told["job_id"] = told["job_id"] or body.get("job_id")
            if response.status == 200:
                told["text"] = (body.get("result") or {}).get("completion")
            return self._seen(asked, "ok", told)
        is_replayed = response.headers.get("Idempotency-Replayed") == "true"
        definite = response.status in DEFINITE or is_replayed
        return self._seen(asked, "fail" if definite else "info", told)

    @staticmethod
    def _seen(asked: Operation, what: Type, told: dict[str, Any]) -> Seen:
        return Seen(asked.op, asked.tenant, asked.how, what, time.time(), **told)

    async def _cancel(self, session: aiohttp.ClientSession, asked: Operation, job_id: str) -> None:
        """Once; a cancel that is not heard leaves the job as it is."""
        headers = {"Authorization": f"Bearer {self.tokens[asked.tenant]}"}
        try:
            async with session.post(f"/ai/jobs/{job_id}/cancel/", headers=headers) as response:
                status: int | None = response.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            status = None
        self._note(asked, "cancel", status=status, job_id=job_id)


async def _streamed(response: aiohttp.ClientResponse) -> str:
    """The text of a stream. Raises ValueError when it ended without its last word."""
    text: list[str] = []
    async for line in response.content:
        data = line.removeprefix(b"data:").strip()
        if data == b"[DONE]":
            return "".join(text)
        if line.startswith(b"data:"):
            text += [_said(json.loads(data))]
    raise ValueError("the stream was cut")


def _said(chunk: dict[str, Any]) -> str:
    if "error" in chunk:
        raise ValueError("the stream ended with an error")
    return "".join(choice.get("delta", {}).get("content") or "" for choice in chunk.get("choices", ()))
