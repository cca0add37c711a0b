"""Files, batches and schedules as OpenAPI schemas: closed, so that tests hold each field of them."""

from __future__ import annotations

from ai_batch.api.shapes import MOMENTS
from ai_batch.models import Batch
from ai_openai.api.shapes import NUMBER, TEXT, WHOLE, YES_NO, Schema, array, nullable, opened, record

TEXTS: Schema = {"type": "object", "additionalProperties": TEXT}
#: USD are decimal strings, tokens and jobs whole numbers.
TEXT_OR_WHOLE: Schema = {"oneOf": [{"type": "string"}, {"type": "integer"}]}
MAYBE_TEXT, MAYBE_WHOLE = nullable(TEXT), nullable(WHOLE)
DELETED = record({"id": TEXT, "object": TEXT, "deleted": YES_NO})
FILE = record(
    {
        "id": TEXT,
        "object": TEXT,
        "bytes": WHOLE,
        "created_at": WHOLE,
        "expires_at": MAYBE_WHOLE,
        "filename": TEXT,
        "purpose": TEXT,
        "status": TEXT,
        "status_details": MAYBE_TEXT,
        "sha256": TEXT,
    }
)
#: A provider's own errors may tell more.
ERRORS = record({"object": TEXT, "data": array(opened(record({"message": TEXT}))), "count": WHOLE})
BATCH_FIELDS: dict[str, Schema] = {
    "id": TEXT,
    "object": TEXT,
    "endpoint": TEXT,
    "model": MAYBE_TEXT,
    "errors": nullable(ERRORS),
    "input_file_id": TEXT,
    "completion_window": TEXT,
    "status": {"type": "string", "enum": list(Batch.Status.values)},
    "output_file_id": MAYBE_TEXT,
    "error_file_id": MAYBE_TEXT,
    "created_at": WHOLE,
    "expires_at": MAYBE_WHOLE,
    **dict.fromkeys(MOMENTS, MAYBE_WHOLE),
    "request_counts": record({"total": WHOLE, "completed": WHOLE, "failed": WHOLE}),
    "usage": record(
        {
            "input_tokens": WHOLE,
            "input_tokens_details": record({"cached_tokens": WHOLE}),
            "output_tokens": WHOLE,
            "output_tokens_details": record({"reasoning_tokens": WHOLE}),
            "total_tokens": WHOLE,
        }
    ),
    "metadata": nullable(TEXTS),
    "engine": MAYBE_TEXT,
}
PROGRESS = record(
    {
        "percent": NUMBER,
        "done": WHOLE,
        "total": WHOLE,
        "lines_per_second": nullable(NUMBER),
        "seconds_left": MAYBE_WHOLE,
        "cost_usd": MAYBE_TEXT,
        "estimated_cost_usd": MAYBE_TEXT,
    }
)
GUIDE_FIELDS: dict[str, Schema] = {
    **BATCH_FIELDS,
    "progress": PROGRESS,
    "results_available": YES_NO,
    "engine_asked": TEXT,
    "notify": YES_NO,
    "sandbox": YES_NO,
    "parent_id": MAYBE_TEXT,
    "input_filename": MAYBE_TEXT,
    "total_cost": MAYBE_TEXT,
}
BATCH, GUIDE_BATCH = record(BATCH_FIELDS), record(GUIDE_FIELDS)
SCHEDULE = record(
    {
        "id": TEXT,
        "object": TEXT,
        "name": TEXT,
        "cron": TEXT,
        "timezone": TEXT,
        "endpoint": MAYBE_TEXT,
        "engine": MAYBE_TEXT,
        "metadata": nullable(TEXTS),
        "template_file_id": TEXT,
        "paused": YES_NO,
        "next_at": MAYBE_WHOLE,
        "last_at": MAYBE_WHOLE,
        "last_error": MAYBE_TEXT,
        "created_at": WHOLE,
    }
)
STATISTICS = record(
    {
        "total_batches": WHOLE,
        "by_status": {"type": "object", "additionalProperties": WHOLE},
        "request_counts": record({"total": WHOLE, "completed": WHOLE, "failed": WHOLE}),
        "usage": record({"input_tokens": WHOLE, "output_tokens": WHOLE, "total_tokens": WHOLE}),
        "total_cost": MAYBE_TEXT,
    }
)
TRIAL: dict[str, Schema] = {
    "valid": YES_NO,
    "fits": nullable(YES_NO),
    "total": WHOLE,
    "model": MAYBE_TEXT,
    "engine": MAYBE_TEXT,
    "sandbox": nullable(YES_NO),
    "errors": ERRORS,
    "estimate": nullable(
        record(
            {
                "input_tokens": WHOLE,
                "most_tokens": WHOLE,
                "most_cost_usd": MAYBE_TEXT,
                "most_cost_without_batch_usd": MAYBE_TEXT,
                "held_usd": TEXT,
            }
        )
    ),
    "budgets": array(
        record(
            {
                **dict.fromkeys(("scope", "period", "unit"), TEXT),
                "scope_value": MAYBE_TEXT,
                **dict.fromkeys(("is_hard", "fits"), YES_NO),
                **dict.fromkeys(("limit", "spent", "reserved", "remaining", "requested"), TEXT_OR_WHOLE),
            }
        )
    ),
}
SUCCESS: Schema = {"type": "boolean", "enum": [True]}


def listing(of: Schema, *, guide: bool = False) -> Schema:
    """A page of OpenAI's; ``guide``: with what ``/api/batch/list`` adds."""
    page = {
        "object": TEXT,
        "data": array(of),
        "first_id": MAYBE_TEXT,
        "last_id": MAYBE_TEXT,
        "has_more": YES_NO,
    }
    return record({"success": SUCCESS, **page}, total=WHOLE, offset=WHOLE) if guide else record(page)


def enveloped(**parts: Schema) -> Schema:
    """``{success: true, …}``."""
    return record({"success": SUCCESS, **parts})


def whole_list(of: Schema) -> Schema:
    """``{success: true, object: "list", data}``."""
    return enveloped(object=TEXT, data=array(of))
