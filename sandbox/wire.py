"""Answers on the socket: headers as OpenAI sends them, and the faults that touch the bytes."""

import asyncio
import re
import socket
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass

import orjson
from aiohttp import web
from multidict import CIMultiDict

from sandbox import errors
from sandbox.errors import ApiError
from sandbox.faults import NO_FAULT, Fault
from sandbox.files import StoredFile
from sandbox.log import Entry
from sandbox.prompts import Body

JSON = "application/json"
EVENTS = "text/event-stream; charset=utf-8"
FILE_CHUNK_BYTES = 256 * 1024
# What was sent before a cut must arrive, and a reset overtakes bytes that are not read yet.
SETTLE_S = 0.03

# Characters of a file's name that have no place in a header.
_UNSAFE = re.compile(r"[^A-Za-z0-9._ -]")

_HEADERS: CIMultiDict[str] = CIMultiDict(
    {
        "openai-organization": "org-sandbox",
        "openai-version": "2020-10-01",
        "x-ratelimit-limit-requests": "10000",
        "x-ratelimit-limit-tokens": "30000000",
        "x-ratelimit-remaining-requests": "9999",
        "x-ratelimit-remaining-tokens": "29999900",
        "x-ratelimit-reset-requests": "6ms",
        "x-ratelimit-reset-tokens": "0s",
        "x-megahub-sandbox": "1",
    }
)


@dataclass(slots=True)
class Call:
    """One call on its way through the sandbox."""

    request: web.BaseRequest
    entry: Entry
    started: float
    resource: str = ""  # the path below the base, without its slash
    infomaniak: bool = False
    key: str = ""
    fault: Fault = NO_FAULT

    def headers(self, content_type: str, extra: Mapping[str, str] | None = None) -> CIMultiDict[str]:
        headers = _HEADERS.copy()
        headers["content-type"] = content_type
        headers["x-request-id"] = self.entry.request_id
        headers["openai-processing-ms"] = str(int((time.perf_counter() - self.started) * 1000))
        if extra:
            headers.update(extra)
        return headers


async def send_json(call: Call, payload: Body) -> web.StreamResponse:
    call.entry.status = 200
    body = orjson.dumps(payload)
    if call.fault is NO_FAULT:
        return web.Response(body=body, headers=call.headers(JSON))
    return await _send_faulty(call, body, JSON)


def send_error(call: Call, error: ApiError) -> web.Response:
    status, body = error.status, errors.openai_body(error)
    if call.infomaniak:
        status, body = errors.infomaniak_body(error)
    call.entry.status = status
    headers = call.headers(JSON, error.headers)
    return web.Response(status=status, body=orjson.dumps(body), headers=headers)


async def send_events(call: Call, chunks: list[Body]) -> web.StreamResponse:
    """A stream of server-sent events that ends with [DONE], if no fault ends it sooner."""
    events = [b"data: " + orjson.dumps(chunk) + b"\n\n" for chunk in chunks]
    events.append(b"data: [DONE]\n\n")
    fault = call.fault
    if fault.malformed:
        events.insert(min(2, len(events) - 1), events[0][: len(events[0]) // 2] + b"\n\n")
    if fault.empty:
        events = []
    response = await _open(call, web.StreamResponse(headers=call.headers(EVENTS)))
    broken = fault.cut if fault.stall is None else fault.stall
    if broken is not None:
        # A stream shorter than the number is broken before its last event all the same.
        events = events[: min(broken, len(events) - 1)]
    for event in events:
        await response.write(event)
        if fault.token_delay_s:
            await asyncio.sleep(fault.token_delay_s)
    await _break(call)
    return response


async def send_file(call: Call, stored: StoredFile) -> web.StreamResponse:
    """A file's bytes; a cut or a stall comes when half of them are sent."""
    headers = call.headers("application/octet-stream")
    filename = _UNSAFE.sub("_", stored.filename)
    headers["content-disposition"] = f'attachment; filename="{filename}"'
    response = web.StreamResponse(headers=headers)
    response.content_length = stored.bytes
    left = stored.bytes // 2 if _is_broken(call.fault) else stored.bytes
    with stored.path.open("rb") as source:
        await _open(call, response)
        while left and (data := source.read(min(left, FILE_CHUNK_BYTES))):
            await response.write(data)
            left -= len(data)
    await _break(call)
    return response


async def _send_faulty(call: Call, body: bytes, content_type: str) -> web.StreamResponse:
    fault = call.fault
    if fault.malformed:
        body = body[: len(body) * 2 // 3]
    if fault.empty:
        body = b""
    response = web.StreamResponse(headers=call.headers(content_type))
    response.content_length = len(body)
    await _open(call, response)
    await response.write(body[: len(body) // 2] if _is_broken(fault) else body)
    await _break(call)
    return response


async def _open(call: Call, response: web.StreamResponse) -> web.StreamResponse:
    """Send the headers; `first_byte` holds them back, `first_chunk` what follows them."""
    call.entry.status = 200
    if call.fault.first_byte_s:
        await asyncio.sleep(call.fault.first_byte_s)
    await response.prepare(call.request)
    if call.fault.first_chunk_s:
        await asyncio.sleep(call.fault.first_chunk_s)
    return response


def _is_broken(fault: Fault) -> bool:
    return fault.cut is not None or fault.stall is not None


async def _break(call: Call) -> None:
    """Leave an answer at its half if that is the fault asked for."""
    if call.fault.stall is not None:
        await _stall()
    elif call.fault.cut is not None:
        await _cut(call.request)


async def _stall() -> None:
    """Keep the connection open and say nothing until the client goes, which cancels the call."""
    await asyncio.Event().wait()


async def _cut(request: web.BaseRequest) -> None:
    """Break the connection with a reset: a clean end could be taken for the end of the answer."""
    transport = request.transport
    if transport is None:
        return
    await asyncio.sleep(SETTLE_S)
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
