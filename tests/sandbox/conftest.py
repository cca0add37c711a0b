"""The sandbox as a process of its own on a free port, and a client that hides nothing.

No `__init__.py` in this folder: with one, `tests/sandbox` would shadow the package it tests.
"""

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 20


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    raw: bytes

    def json(self) -> Any:
        return json.loads(self.raw)

    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.raw.splitlines()]

    def events(self) -> list[Any]:
        """The data of each server-sent event, [DONE] left as text."""
        events = [part.removeprefix("data: ") for part in self.raw.decode().split("\n\n")[:-1]]
        return [event if event == "[DONE]" else json.loads(event) for event in events]


class Provider:
    def __init__(self, url: str) -> None:
        self.url = url
        self.host = urlsplit(url).netloc

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        key: str | None = "sk-test",
        headers: dict[str, str] | None = None,
    ) -> Answer:
        with closing(self.connect()) as connection:
            return read(self.send(connection, method, path, body, key=key, headers=headers))

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.host, timeout=TIMEOUT_S)

    def send(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: object = None,
        *,
        key: str | None = "sk-test",
        headers: dict[str, str] | None = None,
    ) -> http.client.HTTPResponse:
        """Send a call and come back when the headers of the answer are there."""
        sent = dict(headers or {})
        if key is not None:
            sent["authorization"] = f"Bearer {key}"
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection.request(method, path, data, sent)
        return connection.getresponse()

    def chat(self, text: str, *, base: str = "/v1", headers: Any = None, **fields: Any) -> Answer:
        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": text}], **fields}
        return self.call("POST", f"{base}/chat/completions", body, headers=headers)

    def upload(self, content: bytes, filename: str = "in.jsonl", **form: str) -> Answer:
        """Send a file as a multipart form; purpose batch unless the form says otherwise."""
        fields = {"purpose": "batch", **form}
        head = "".join(
            f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in fields.items()
        )
        head += f'--x\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n\r\n'
        body = head.encode() + content + b"\r\n--x--\r\n"
        headers = {"content-type": "multipart/form-data; boundary=x"}
        return self.call("POST", "/v1/files", body, headers=headers)

    def log(self, after: int = 0) -> list[Any]:
        return self.call("GET", f"/sandbox/log?after={after}").lines()


def read(response: http.client.HTTPResponse) -> Answer:
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, headers, response.read())


@contextmanager
def running(
    *arguments: str, stderr: IO[bytes] | None = None
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A sandbox process: its URL and the process, ended with SIGTERM."""
    command = [sys.executable, "-m", "sandbox", "--port", "0", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=stderr, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().split()[-1], process
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGTERM)
        process.wait(TIMEOUT_S)
        process.stdout.close()


@pytest.fixture(scope="session")
def sandbox_url() -> Iterator[str]:
    with running() as (url, _):
        yield url


@pytest.fixture
def provider(sandbox_url: str) -> Iterator[Provider]:
    """The shared sandbox, with neither faults nor a log at the beginning of a test."""
    provider = Provider(sandbox_url)
    provider.call("DELETE", "/sandbox/faults")
    provider.call("DELETE", "/sandbox/log")
    yield provider
    provider.call("DELETE", "/sandbox/faults")


@pytest.fixture
def start_sandbox() -> Callable[..., Any]:
    """`with start_sandbox("--log", file) as (url, process)`: a sandbox of the test's own."""
    return running


@pytest.fixture
def provider_at() -> Callable[[str], Provider]:
    return Provider
