"""A receiver of webhooks on loopback that answers as a test tells it, in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson


@dataclass
class Heard:
    """One request that arrived."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


@dataclass
class Receiver:
    """``answer(number)`` is a status, (status, headers, body), or a function of the handler."""

    url: str = ""
    heard: list[Heard] = field(default_factory=list)
    answer: Callable[[int], Any] = lambda _: 204
    #: Answers are worked out one after the other, so that ``heard[-1]`` is the request at hand.
    one_by_one: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)


@contextmanager
def listening(port: int = 0, **given: Any) -> Iterator[Receiver]:
    receiver = Receiver(**given)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            size = int(self.headers.get("Content-Length", 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(size)
            with receiver.lock if receiver.one_by_one else nullcontext():
                receiver.heard.append(Heard(self.path, headers, body))
                answer = receiver.answer(len(receiver.heard))
            if callable(answer):
                answer(self)
                return
            status, more, said = answer if isinstance(answer, tuple) else (answer, {}, b"")
            self.send_response(status)
            for name, value in more.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def do_GET(self) -> None:
            receiver.heard.append(Heard(self.path, {}, b"GET"))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            """Nothing to the console."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    receiver.url = f"http://127.0.0.1:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
