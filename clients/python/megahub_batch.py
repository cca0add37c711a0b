"""Batches from a terminal, over the API with a key: ``python -m megahub_batch submit FILE --watch``.

One file that needs Python 3.11 and tqdm; README.md beside it tells more. The hub's address and the key
are read from MEGAHUB_URL and MEGAHUB_API_KEY.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import uuid
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from tqdm import tqdm

OVER = ("completed", "failed", "expired", "cancelled")
ENDPOINTS = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/moderations",
    "/v1/responses",
)
BLOCK_BYTES = 256 * 1024
LOOK_SECONDS = 2.0
TIMEOUT_SECONDS = 120.0
#: How often a call is made whose answer did not come; the key makes it count once.
TRIES = 4


class Refused(Exception):
    """What the hub said no to, in its own words."""


class Client:
    """A hub and a key; ``Client(url, key).submit(path, endpoint=…)``."""

    def __init__(self, url: str, key: str) -> None:
        self._at = urlsplit(url)
        if self._at.scheme not in ("http", "https") or not self._at.netloc:
            raise Refused(f"'{url}' is no address; it looks like https://hub.example.com")
        self._key = key

    def submit(self, path: Path, **fields: Any) -> dict[str, Any]:
        """Create a batch of a file (JSONL, CSV or XLSX); the batch."""
        form = Form(path, {name: str(value) for name, value in fields.items() if value is not None})
        return dict(self._sent("POST", "/api/batch/create", form)["batch"])

    def validate(self, path: Path, **fields: Any) -> dict[str, Any]:
        """What would become of it: errors by line, tokens and cost; nothing is kept."""
        form = Form(path, {name: str(value) for name, value in fields.items() if value is not None})
        return self._sent("POST", "/api/batch/validate", form)

    def get(self, batch_id: str) -> dict[str, Any]:
        """A batch as it is now."""
        return dict(self._sent("GET", f"/api/batch/{batch_id}?refresh=false")["batch"])

    def listed(self, **query: Any) -> list[dict[str, Any]]:
        """The latest batches."""
        asked = urlencode({name: value for name, value in query.items() if value is not None})
        return list(self._sent("GET", f"/api/batch/list?{asked}")["data"])

    def cancel(self, batch_id: str) -> dict[str, Any]:
        """Begin no more of its requests."""
        return dict(self._sent("POST", f"/api/batch/{batch_id}/cancel")["batch"])

    def retry(self, batch_id: str) -> dict[str, Any]:
        """A new batch of the requests that failed."""
        return dict(self._sent("POST", f"/api/batch/{batch_id}/retry_failed")["batch"])

    def download(self, batch_id: str, to: Path, kind: str = "output", form: str = "jsonl") -> int:
        """The results of a kind into a file, which is there when it is whole; how many bytes."""
        path = f"/api/batch/{batch_id}/results?{urlencode({'type': kind, 'format': form})}"
        part, size = to.with_name(f"{to.name}.part"), 0
        answer = self._call("GET", path, None, {})
        try:
            with part.open("wb") as file:
                while block := answer.read(BLOCK_BYTES):
                    size += file.write(block)
            if answer.length:
                raise Refused(f"The download broke off: {answer.length} bytes are missing.")
            part.replace(to)
        finally:
            part.unlink(missing_ok=True)
        return size

    def watched(self, batch_id: str, seconds: float = LOOK_SECONDS) -> Iterator[dict[str, Any]]:
        """The batch again and again, until it is over."""
        while True:
            batch = self.get(batch_id)
            yield batch
            if batch["status"] in OVER:
                return
            time.sleep(seconds)  # asked for (--every): whoever iterates waits with it

    def _sent(self, method: str, path: str, form: Form | None = None) -> dict[str, Any]:
        headers = {"Idempotency-Key": uuid.uuid4().hex} if method == "POST" else {}
        for attempt in range(1, TRIES + 1):
            try:
                return dict(json.loads(self._call(method, path, form, headers).read()))
            except (OSError, HTTPException, ValueError) as error:
                if attempt == TRIES:
                    raise Refused(f"{self._at.netloc} does not answer: {error}") from error
                time.sleep(2 ** (attempt - 1) / 2)  # growing pauses: the hub may be starting again
        raise AssertionError

    def _call(self, method: str, path: str, form: Form | None, headers: dict[str, str]) -> HTTPResponse:
        kind = HTTPSConnection if self._at.scheme == "https" else HTTPConnection
        connection = kind(self._at.netloc, timeout=TIMEOUT_SECONDS)
        told = {"Authorization": f"Bearer {self._key}", **headers, **(form.headers if form else {})}
        connection.request(method, self._at.path.rstrip("/") + path, form.parts() if form else None, told)
        answer = connection.getresponse()
        if answer.status >= 400:
            raise Refused(reason(answer.status, answer.read()))
        return answer


class Form:
    """A form with one file, sent in blocks: the file is never in memory."""

    def __init__(self, path: Path, texts: dict[str, str]) -> None:
        self._path, mark = path, uuid.uuid4().hex
        name = path.name.replace('"', "")
        self._head = (
            "".join(
                f'--{mark}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{text}\r\n'
                for key, text in texts.items()
            ).encode()
            + (
                f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
                "Content-Type: application/octet-stream\r\n\r\n"
            ).encode()
        )
        self._tail = f"\r\n--{mark}--\r\n".encode()
        size = len(self._head) + path.stat().st_size + len(self._tail)
        self.headers = {
            "Content-Type": f"multipart/form-data; boundary={mark}",
            "Content-Length": str(size),
        }

    def parts(self) -> Iterator[bytes]:
        yield self._head
        with self._path.open("rb") as file:
            while block := file.read(BLOCK_BYTES):
                yield block
        yield self._tail


def reason(status: int, raw: bytes) -> str:
    """What a refusal says."""
    try:
        told = json.loads(raw)
    except ValueError:
        return f"The hub answered with status {status}."
    fields = "; ".join(
        f"{name}: {' '.join(said)}" for name, said in (told.get("field_errors") or {}).items()
    )
    return f"{told.get('detail') or told.get('error')} {fields}".strip()


def watch(client: Client, batch_id: str, seconds: float) -> dict[str, Any]:
    """A progress bar until the batch is over; the batch then."""
    batch: dict[str, Any] = {}
    with tqdm(unit=" requests", dynamic_ncols=True) as bar:
        for batch in client.watched(batch_id, seconds):
            at = batch["progress"]
            bar.total = at["total"] or None
            bar.set_description(batch["status"], refresh=False)
            bar.set_postfix_str(
                f"{batch['request_counts']['failed']} failed, {at['cost_usd']} USD", refresh=False
            )
            bar.update(at["done"] - bar.n)
            bar.refresh()
    return batch


def summary(batch: dict[str, Any]) -> str:
    """A batch on one line."""
    counts, at = batch["request_counts"], batch["progress"]
    name = (batch.get("metadata") or {}).get("name") or batch.get("input_filename") or ""
    return (
        f"{batch['id']}  {batch['status']:<11}  {counts['completed']} of {counts['total']},"
        f" {counts['failed']} failed  {at['cost_usd']} USD  {name}"
    ).rstrip()


def arguments(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="megahub_batch", description="Batches of a MEGAHUB from a terminal."
    )
    parser.add_argument("--url", default=os.environ.get("MEGAHUB_URL", "http://127.0.0.1:8000"))
    parser.add_argument("--key", default=os.environ.get("MEGAHUB_API_KEY", ""), help="or MEGAHUB_API_KEY")
    parser.add_argument("--every", type=float, default=LOOK_SECONDS, help="seconds between looks")
    orders = parser.add_subparsers(dest="order", required=True)
    for name in ("submit", "validate"):
        order = orders.add_parser(name)
        order.add_argument("file", type=Path)
        order.add_argument("--endpoint", default=ENDPOINTS[0], choices=ENDPOINTS)
        order.add_argument("--engine", choices=("auto", "provider", "hub"))
        order.add_argument("--model", help="for rows of a table that name none")
        order.add_argument("--template", type=Path, help="a file: a request's body with {{column}}")
        if name == "submit":
            order.add_argument("--name", help="how people know it")
            order.add_argument("--watch", action="store_true")
            order.add_argument("--to", type=Path, help="with --watch: where the results go")
    listing = orders.add_parser("list")
    listing.add_argument("--status")
    listing.add_argument("--limit", type=int, default=20)
    for name in ("get", "cancel", "retry", "download"):
        order = orders.add_parser(name)
        order.add_argument("batch_id")
        if name in ("get", "retry"):
            order.add_argument("--watch", action="store_true")
    order.add_argument("--type", default="output", choices=("output", "error"))
    order.add_argument("--format", default="jsonl", choices=("jsonl", "csv", "xlsx"))
    order.add_argument("--to", type=Path)
    return parser.parse_args(given)


def created(client: Client, asked: argparse.Namespace) -> dict[str, Any]:
    """The batch that ``submit`` makes; with ``--watch`` and ``--to`` its results too."""
    fields = fields_of(asked)
    metadata = json.dumps({"name": asked.name}) if asked.name else None
    batch = client.submit(asked.file, **fields, metadata=metadata)
    if asked.watch:
        batch = watch(client, batch["id"], asked.every)
        if asked.to and batch["request_counts"]["completed"]:
            client.download(batch["id"], asked.to)
    return batch


def fields_of(asked: argparse.Namespace) -> dict[str, Any]:
    template = asked.template.read_text() if asked.template else None
    return {"endpoint": asked.endpoint, "engine": asked.engine, "model": asked.model, "template": template}


def tell_trial(told: dict[str, Any]) -> int:
    """What a dry run found; 0 when the batch could begin."""
    for each in told["errors"]["data"]:
        print(f"line {each['line'] or '-'}: {each['param'] or ''} {each['message']}")
    if told["valid"]:
        cost = told["estimate"]["most_cost_usd"]
        print(f"{told['total']} requests, at most {told['estimate']['most_tokens']} tokens and {cost} USD")
    else:
        print(f"{told['errors']['count']} errors")
    return 0 if told["valid"] and told["fits"] else 1


def run(client: Client, asked: argparse.Namespace) -> int:
    """Do what was asked; 0 when all of it went well, 1 when a batch did not."""
    if asked.order == "validate":
        return tell_trial(client.validate(asked.file, **fields_of(asked)))
    if asked.order == "list":
        for batch in client.listed(status=asked.status, limit=asked.limit):
            print(summary(batch))
        return 0
    if asked.order == "download":
        to = asked.to or Path(f"{asked.batch_id}_{asked.type}.{asked.format}")
        print(f"{to}: {client.download(asked.batch_id, to, asked.type, asked.format)} bytes")
        return 0
    if asked.order == "submit":
        batch = created(client, asked)
    elif asked.order == "retry":
        batch = client.retry(asked.batch_id)
    elif asked.order == "cancel":
        batch = client.cancel(asked.batch_id)
    else:
        batch = client.get(asked.batch_id)
    if asked.order in ("get", "retry") and asked.watch:
        batch = watch(client, batch["id"], asked.every)
    print(summary(batch))
    for each in (batch.get("errors") or {}).get("data", ()):
        print(f"line {each.get('line') or '-'}: {each['message']}", file=sys.stderr)
    went_badly = batch["status"] in ("failed", "expired") or batch["request_counts"]["failed"] > 0
    return 1 if went_badly and asked.order != "cancel" else 0


def main(given: list[str] | None = None) -> int:
    """The command line."""
    asked = arguments(given)
    try:
        if not asked.key:
            raise Refused("No key: set MEGAHUB_API_KEY, or pass --key.")
        return run(Client(asked.url, asked.key), asked)
    except (Refused, OSError, HTTPException) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
