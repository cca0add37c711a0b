"""Batches: a file of requests, worked through in the background by the surfaces of single calls."""

import asyncio
import logging
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from sandbox import errors, faults, fields, files, lines, paging, prose
from sandbox.calls import Calls
from sandbox.errors import ApiError
from sandbox.files import Draft, FileStore, StoredFile
from sandbox.lines import Inspection
from sandbox.prompts import Body

WINDOW_S = 24 * 3600
OUTPUT_LIFETIME_S = 30 * 24 * 3600
MAX_METADATA = 16
MAX_METADATA_KEY_CHARS = 64
MAX_METADATA_VALUE_CHARS = 512
# After so many lines the event loop is given to the calls that wait.
INSPECTED_AT_ONCE = 200
ANSWERED_AT_ONCE = 20
# Metadata that makes a batch expire after so many lines, as a real one does after a day.
EXPIRE_AFTER = "sandbox_expire_after"

MOMENTS = (
    "in_progress_at",
    "finalizing_at",
    "completed_at",
    "failed_at",
    "expired_at",
    "cancelling_at",
    "cancelled_at",
)

RULES = {
    "input_file_id": fields.TEXT,
    "endpoint": fields.one_of(*lines.ENDPOINTS),
    "completion_window": fields.one_of("24h"),
    "metadata": fields.OBJECT,
    "output_expires_after": fields.OBJECT,
}

logger = logging.getLogger("sandbox")


@dataclass(slots=True)
class Batch:
    id: str
    endpoint: str
    input_file_id: str
    created_at: int
    metadata: dict[str, str] | None
    output_lifetime_s: int
    status: str = "validating"
    model: str | None = None
    errors: list[Body] = field(default_factory=list)
    output_file_id: str | None = None
    error_file_id: str | None = None
    moments: dict[str, int | None] = field(default_factory=lambda: dict.fromkeys(MOMENTS))
    total: int = 0
    completed: int = 0
    failed: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0

    def move(self, status: str) -> None:
        self.status = status
        self.moments[f"{status}_at"] = int(time.time())

    @property
    def expires_after_lines(self) -> int | None:
        text = (self.metadata or {}).get(EXPIRE_AFTER, "")
        return int(text) if text.isdecimal() else None

    def count_usage(self, usage: Body) -> None:
        """Add the usage of one answer, in the words of chat or of responses."""
        read = usage.get("input_tokens_details") or usage.get("prompt_tokens_details") or {}
        wrote = usage.get("output_tokens_details") or usage.get("completion_tokens_details") or {}
        self.input_tokens += usage.get("input_tokens") or usage.get("prompt_tokens") or 0
        self.output_tokens += usage.get("output_tokens") or usage.get("completion_tokens") or 0
        self.cached_tokens += read.get("cached_tokens", 0)
        self.reasoning_tokens += wrote.get("reasoning_tokens", 0)

    def render(self) -> Body:
        return {
            "id": self.id,
            "object": "batch",
            "endpoint": self.endpoint,
            "model": self.model,
            "errors": {"object": "list", "data": self.errors} if self.errors else None,
            "input_file_id": self.input_file_id,
            "completion_window": "24h",
            "status": self.status,
            "output_file_id": self.output_file_id,
            "error_file_id": self.error_file_id,
            "created_at": self.created_at,
            "expires_at": self.created_at + WINDOW_S,
            **self.moments,
            "request_counts": {
                "total": self.total,
                "completed": self.completed,
                "failed": self.failed,
            },
            "usage": {
                "input_tokens": self.input_tokens,
                "input_tokens_details": {"cached_tokens": self.cached_tokens},
                "output_tokens": self.output_tokens,
                "output_tokens_details": {"reasoning_tokens": self.reasoning_tokens},
                "total_tokens": self.input_tokens + self.output_tokens,
            },
            "metadata": self.metadata,
        }


def parse_order(body: Body, now: int) -> Batch:
    """The batch that a body orders; raises ApiError for what OpenAI refuses at once."""
    fields.check(body, RULES, required=("input_file_id", "endpoint", "completion_window"))
    metadata = body.get("metadata")
    _check_metadata(metadata or {})
    policy = body.get("output_expires_after")
    return Batch(
        id=f"batch_sandbox_{secrets.token_hex(12)}",
        endpoint=body["endpoint"],
        input_file_id=body["input_file_id"],
        created_at=now,
        metadata=metadata,
        output_lifetime_s=files.expires_after(policy, "output_expires_after")
        if policy
        else OUTPUT_LIFETIME_S,
    )


def _check_metadata(metadata: dict[str, Any]) -> None:
    if len(metadata) > MAX_METADATA:
        raise _too_long("metadata", "properties", MAX_METADATA)
    for key, value in metadata.items():
        fields.TEXT.check(f"metadata.{key}", value)
        if len(key) > MAX_METADATA_KEY_CHARS:
            raise _too_long("metadata", "characters in a key", MAX_METADATA_KEY_CHARS)
        if len(value) > MAX_METADATA_VALUE_CHARS:
            raise _too_long(f"metadata.{key}", "characters", MAX_METADATA_VALUE_CHARS)


def _too_long(param: str, what: str, most: int) -> ApiError:
    return ApiError(
        400,
        f"Invalid '{param}': expected at most {most} {what}.",
        param=param,
        code="above_max_length",
    )


class Batches:
    """The batches of this process and the tasks that work on them."""

    def __init__(self, store: FileStore, calls: Calls, seconds_per_line: float) -> None:
        self._store = store
        self._calls = calls
        self._seconds_per_line = seconds_per_line
        self._batches: dict[str, Batch] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def create(self, body: Body, now: int) -> Body:
        """Take an order and start on it; the answer says `validating`."""
        batch = parse_order(body, now)
        self._batches[batch.id] = batch
        task = asyncio.create_task(self._run(batch))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return batch.render()

    def get(self, batch_id: str) -> Body:
        return self._find(batch_id).render()

    def listing(self, query: Mapping[str, str]) -> Body:
        """A page of the batches, the newest first."""
        limit = paging.limit_of(query, default=20, most=100)
        newest_first = list(self._batches.values())[::-1]
        return paging.page(newest_first, query.get("after"), limit, Batch.render)

    def cancel(self, batch_id: str) -> Body:
        """Ask a batch to stop; raises 409 when it has come to another end already."""
        batch = self._find(batch_id)
        if batch.status in ("completed", "failed", "expired"):
            raise ApiError(409, f"Cannot cancel a batch with status '{batch.status}'.")
        if batch.status not in ("cancelling", "cancelled"):
            batch.move("cancelling")
        return batch.render()

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _find(self, batch_id: str) -> Batch:
        if batch_id not in self._batches:
            raise ApiError(404, f"No batch found with id '{batch_id}'.", param="id")
        return self._batches[batch_id]

    async def _run(self, batch: Batch) -> None:
        try:
            stored = self._input_of(batch)
            if stored is not None and await self._inspect(batch, stored):
                await self._execute(batch, stored)
        except Exception:
            logger.exception("batch %s failed", batch.id)
            _fail(batch, "server_error", errors.server_error().message, None)

    def _input_of(self, batch: Batch) -> StoredFile | None:
        if batch.input_file_id not in self._store:
            text = (
                f"Cannot find file {batch.input_file_id}, or organization org-sandbox does not "
                "have access to it."
            )
            _fail(batch, "invalid_request", text, "file_id")
            return None
        stored = self._store.get(batch.input_file_id)
        if stored.purpose != "batch":
            text = f"File {stored.id} has the purpose '{stored.purpose}', it must be 'batch'."
            _fail(batch, "invalid_request", text, "file_id")
            return None
        return stored

    async def _inspect(self, batch: Batch, stored: StoredFile) -> bool:
        """Read the whole file and say whether the batch may start."""
        inspection = Inspection(batch.endpoint)
        with stored.path.open("rb") as source:
            for number, raw in enumerate(source, 1):
                if raw.strip():
                    inspection.read(number, raw)
                if number % INSPECTED_AT_ONCE == 0:
                    await asyncio.sleep(0)
        inspection.finish()
        await asyncio.sleep(self._seconds_per_line)
        if batch.status == "cancelling":
            batch.move("cancelled")
            return False
        if inspection.errors:
            batch.errors = inspection.errors
            batch.move("failed")
            return False
        batch.model, batch.total = inspection.model, inspection.total
        return True

    async def _execute(self, batch: Batch, stored: StoredFile) -> None:
        batch.move("in_progress")
        with self._store.draft() as output, self._store.draft() as refused:
            with stored.path.open("rb") as source:
                done = 0
                for raw in source:
                    if batch.status == "cancelling":
                        break
                    if raw.strip():
                        done += 1
                        await self._line(batch, done, raw, output, refused)
            if batch.status != "cancelling":
                batch.move("finalizing")
                await asyncio.sleep(self._seconds_per_line)
            batch.output_file_id = _keep(batch, output, "output")
            batch.error_file_id = _keep(batch, refused, "error")
        batch.move(_last_status(batch))

    async def _line(self, batch: Batch, number: int, raw: bytes, output: Draft, refused: Draft) -> None:
        """Answer one line into the output file or into the error file."""
        line = orjson.loads(raw)
        name = prose.digest(batch.id, number).hex()
        expiry = batch.expires_after_lines
        if expiry is not None and number > expiry:
            refused.write(lines.expired(f"batch_req_{name}", line["custom_id"]))
            batch.failed += 1
            return
        await self._pause(number)
        status, body = await self._answer(batch.endpoint.removeprefix("/v1/"), line["body"])
        written = lines.answered(f"batch_req_{name}", line["custom_id"], f"req_{name}", status, body)
        if status == 200:
            batch.completed += 1
            batch.count_usage(body.get("usage") or {})
            output.write(written)
        else:
            batch.failed += 1
            refused.write(written)

    async def _pause(self, number: int) -> None:
        if self._seconds_per_line or number % ANSWERED_AT_ONCE == 0:
            await asyncio.sleep(self._seconds_per_line)

    async def _answer(self, surface: str, body: Body) -> tuple[int, Body]:
        """Status and body of one line, with the faults that make sense without a connection."""
        try:
            fault = faults.of_prompt(body)
            if fault.delay_s:
                await asyncio.sleep(fault.delay_s)
            faults.refuse(fault, body, "sk-sandbox-batch")
            return 200, self._calls.answer(surface, body, fault, int(time.time()))
        except ApiError as error:
            return error.status, errors.openai_body(error)


def _fail(batch: Batch, code: str, message: str, param: str | None) -> None:
    batch.errors = [{"code": code, "message": message, "param": param, "line": None}]
    batch.move("failed")


def _keep(batch: Batch, draft: Draft, kind: str) -> str | None:
    """Keep a result file unless it is empty; its id."""
    if not draft.bytes:
        return None
    filename = f"{batch.id}_{kind}.jsonl"
    now = int(time.time())
    return draft.keep("batch_output", filename, now, batch.output_lifetime_s).id


def _last_status(batch: Batch) -> str:
    if batch.status == "cancelling":
        return "cancelled"
    expiry = batch.expires_after_lines
    return "completed" if expiry is None or expiry >= batch.total else "expired"
