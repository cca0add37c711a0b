"""Lines and files of batches, and workers that work when they are told to."""

from __future__ import annotations

import json
import time
from typing import Any

from ai_batch.models import Batch
from ai_batch.services import engine, finishing, ingest, remote
from megahub.kernel import loop


def line(custom_id: str, text: str = "Hello.", **body: Any) -> dict[str, Any]:
    """A chat request."""
    return {
        "custom_id": custom_id,
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {
            "model": "gpt-4o-mini",
            "messages": [{"role": "user", "content": text}],
            "max_tokens": 20,
            **body,
        },
    }


def jsonl(*lines: Any) -> bytes:
    """Lines as a file."""
    return b"".join(json.dumps(each).encode() + b"\n" for each in lines)


def work(batch: Batch, seconds: float = 20) -> Batch:
    """Do what workers do, until the batch has ended."""
    ingest.validate(batch.pk)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        batch.refresh_from_db()
        if batch.is_over:
            return batch
        if batch.status in ("in_progress", "cancelling") and batch.engine == "provider":
            remote.advance(batch.pk)
        elif batch.status == "in_progress":
            loop.run(engine.wake())
        if not batch.lines.filter(status__in=("pending", "running")).exists():
            finishing.finish(batch.pk)
        time.sleep(0.02)
    raise AssertionError(batch.status)
