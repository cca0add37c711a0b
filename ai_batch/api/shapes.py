"""Files and batches as OpenAI shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ai_batch.models import Batch, StoredFile
from megahub.kernel import body

MOMENTS = (
    "in_progress_at",
    "finalizing_at",
    "completed_at",
    "failed_at",
    "expired_at",
    "cancelling_at",
    "cancelled_at",
)


def seconds(moment: datetime | None) -> int | None:
    """A moment as OpenAI tells it."""
    return None if moment is None else int(moment.timestamp())


def file(row: StoredFile) -> dict[str, Any]:
    """A File object."""
    return {
        "id": row.file_id,
        "object": "file",
        "bytes": row.bytes,
        "created_at": seconds(row.created_at),
        "expires_at": seconds(row.expires_at),
        "filename": row.filename,
        "purpose": row.purpose,
        "status": "processed",
        "status_details": None,
        "sha256": row.sha256,
    }


def batch(row: Batch) -> dict[str, Any]:
    """A Batch object."""
    completed, failed = row.ended_so_far
    errors = {"object": "list", "data": row.errors, "count": row.error_count} if row.errors else None
    return {
        "id": row.batch_id,
        "object": "batch",
        "endpoint": row.endpoint,
        "model": row.model or None,
        "errors": errors,
        "input_file_id": row.file_asked,
        "completion_window": row.completion_window,
        "status": row.status,
        "output_file_id": row.output_file.file_id if row.output_file else None,
        "error_file_id": row.error_file.file_id if row.error_file else None,
        "created_at": seconds(row.created_at),
        "expires_at": seconds(row.expires_at),
        **{name: seconds(getattr(row, name)) for name in MOMENTS},
        "request_counts": {"total": row.total, "completed": completed, "failed": failed},
        "usage": {
            "input_tokens": row.input_tokens,
            "input_tokens_details": {"cached_tokens": row.cached_tokens},
            "output_tokens": row.output_tokens,
            "output_tokens_details": {"reasoning_tokens": row.reasoning_tokens},
            "total_tokens": row.input_tokens + row.output_tokens,
        },
        "metadata": row.metadata,
        "engine": row.engine or None,
    }


def listing(rows: list[Any], limit: int, shape: Any) -> dict[str, Any]:
    """A page of which ``rows`` holds one more than asked for when there are more."""
    data = [shape(row) for row in rows[:limit]]
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": len(rows) > limit,
    }


def dumps(value: Any) -> bytes:
    """JSON on one line."""
    return body.dumps(value)
