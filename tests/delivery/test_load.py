"""Promise 6 under load: a receiver that fails at random hears of every event, and the history tells how."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from megahub.delivery.domain import events, retrying, signing
from megahub.delivery.models import Outbox, WebhookDelivery
from megahub.delivery.services import endpoints
from megahub.kernel import clock, loop
from tests.world import Cast

EVENTS = 1000
#: What becomes of a message that arrived; "cut" is a connection that ends without an answer.
ENDS: tuple[int | str, ...] = (204, 204, 200, 204, 500, 204, 429, 204, 204, "cut", 204, 200)
FAILING = 4
Heard = dict[str, list[tuple[bool, int | None]]]


@contextmanager
def receiver(secret: list[str], heard: Heard) -> Iterator[str]:
    """On the hub's own loop; notes (signature good?, answer). What failed FAILING times is taken."""
    chance = random.Random(6)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head)}
        body = await reader.readexactly(int(headers["content-length"]))
        event_id, moment = headers["webhook-id"], int(headers["webhook-timestamp"])
        wanted = signing.sign(secret[0], event_id, moment, body)
        end = chance.choice(ENDS) if len(heard[event_id]) < FAILING else 204
        status = end if isinstance(end, int) else None
        heard[event_id].append((headers["webhook-signature"] == wanted, status))
        if status is not None:
            writer.write(f"HTTP/1.1 {status} .\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = loop.run(asyncio.start_server(answer, "127.0.0.1", 0))
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"

    async def close() -> None:
        server.close()
        await server.wait_closed()

    loop.run(close())


@pytest.mark.any_database
def test_a_thousand_events(
    cast: Cast, private: None, relayed: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """None is lost, none unsigned; each is tried until it was taken, and no longer."""
    monkeypatch.setattr(retrying, "STEPS", (0.05,) * (FAILING + 1))
    secret: list[str] = []
    heard: Heard = defaultdict(list)
    told = [(events.new_id(), {"job_id": f"ai_job_{number}"}) for number in range(EVENTS)]
    with receiver(secret, heard) as url:
        endpoint, own = endpoints.register(cast.company.pk, {"url": url, "events": ["job.completed"]})
        secret.append(own)
        Outbox.objects.unscoped().bulk_create(
            Outbox(company=cast.company, event_id=event_id, event_type="job.completed", data=data)
            for event_id, data in told
        )
        for _ in range(40):
            relayed()
            if not waiting(cast):
                break

    assert waiting(cast) == 0
    rows = {row.event_id: row for row in WebhookDelivery.objects.of(cast.company.pk)}
    assert set(heard) == set(rows) == {event_id for event_id, _ in told}
    assert {row.state for row in rows.values()} == {"delivered"}
    assert all(is_signed for tries in heard.values() for is_signed, _ in tries)
    answered = {event_id: [status for _, status in tries] for event_id, tries in heard.items()}
    assert answered == {name: [told["status"] for told in row.history] for name, row in rows.items()}
    assert all(tries[-1] in (200, 204) for tries in answered.values())
    assert not any({200, 204} & set(tries[:-1]) for tries in answered.values())
    assert sum(map(len, answered.values())) > 1.2 * EVENTS
    endpoint.refresh_from_db()
    assert (endpoint.is_active, endpoint.disabled_reason) == (True, "")
    assert endpoint.last_success_at <= clock.now()


def waiting(cast: Cast) -> int:
    rows: Any = WebhookDelivery.objects.of(cast.company.pk).filter(state="pending")
    return int(rows.count()) + int(Outbox.objects.of(cast.company.pk).filter(relayed_at=None).count())
