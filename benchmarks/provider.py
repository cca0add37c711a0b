"""A provider that answers at once, or after a fixed time: no work of its own that could be measured.

``python -m benchmarks.provider --port 9200 --delay-ms 50``. It speaks just enough of OpenAI's wire for
chat completions, plain and streamed (``--tokens`` chunks, ``--between-ms`` apart).
"""

from __future__ import annotations

import argparse
import asyncio
import json
from typing import Any

import uvloop

USAGE = {"prompt_tokens": 14, "completion_tokens": 9, "total_tokens": 23}
HEAD = {"id": "chatcmpl-bench", "created": 1795132800, "model": "gpt-4o-mini"}
ANSWER = {
    **HEAD,
    "object": "chat.completion",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hello! How can I help you today?"},
            "finish_reason": "stop",
        }
    ],
    "usage": USAGE,
}


def _chunk(**choice: object) -> bytes:
    data = {**HEAD, "object": "chat.completion.chunk", "choices": [{"index": 0, **choice}]}
    return b"data: " + json.dumps(data).encode() + b"\n\n"


WORD = _chunk(delta={"content": "hello "}, finish_reason=None)
STOP = _chunk(delta={}, finish_reason="stop")
LAST = {**HEAD, "object": "chat.completion.chunk", "choices": [], "usage": USAGE}
END = STOP + b"data: " + json.dumps(LAST).encode() + b"\n\ndata: [DONE]\n\n"
BODY = json.dumps(ANSWER).encode()
WHOLE = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(BODY)
) + BODY
EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class Provider(asyncio.Protocol):
    """One connection: a request is complete when its declared length has arrived."""

    delay_seconds = 0.0
    between_seconds = 0.0
    tokens = 20

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.pending = b""
        self.tasks: set[asyncio.Task[None]] = set()

    def data_received(self, data: bytes) -> None:
        self.pending += data
        while (end := self.pending.find(b"\r\n\r\n")) >= 0:
            head = self.pending[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self.pending) < end + 4 + length:
                return
            body = self.pending[end + 4 : end + 4 + length]
            self.pending = self.pending[end + 4 + length :]
            self._answer(b'"stream":true' in body.replace(b" ", b""))

    def _answer(self, streamed: bool) -> None:
        if not streamed and not self.delay_seconds:
            self.transport.write(WHOLE)
        elif not streamed:
            asyncio.get_running_loop().call_later(self.delay_seconds, self._write, WHOLE)
        else:
            task = asyncio.ensure_future(self._stream())
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def _stream(self) -> None:
        await asyncio.sleep(self.delay_seconds)
        self._write(EVENTS)
        for _ in range(self.tokens):
            self._write(b"%x\r\n%s\r\n" % (len(WORD), WORD))
            await asyncio.sleep(self.between_seconds)
        self._write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(END), END))

    def _write(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(data)


async def serve(port: int) -> None:
    """Listen on loopback until the process is ended."""
    server = await asyncio.get_running_loop().create_server(Provider, "127.0.0.1", port)
    await server.serve_forever()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--delay-ms", type=float, default=0)
    parser.add_argument("--between-ms", type=float, default=0)
    parser.add_argument("--tokens", type=int, default=20)
    options = parser.parse_args()
    Provider.delay_seconds = options.delay_ms / 1000
    Provider.between_seconds = options.between_ms / 1000
    Provider.tokens = options.tokens
    uvloop.run(serve(options.port))


if __name__ == "__main__":
    main()
