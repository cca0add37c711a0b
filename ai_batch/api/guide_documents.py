"""The batch guide's surface in the OpenAPI document."""

from __future__ import annotations

from typing import Any

from ai_batch.api import schemas
from ai_batch.api.documents import (
    BRAND,
    JSON,
    OBJECT,
    ORDER,
    errors,
    of_path,
    of_query,
    told,
    whole,
)
from ai_batch.domain.lines import ENDPOINTS
from ai_batch.models import OVER
from ai_openai.api.shapes import nullable
from megahub.kernel.openapi import KEY, operation, stream

TAG = ["batch"]
BATCH = schemas.enveloped(batch=schemas.GUIDE_BATCH)
REQUEST = {
    "custom_id": "request-1",
    "method": "POST",
    "url": "/v1/chat/completions",
    "body": {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Say hello."}]},
}
EXAMPLE = {"endpoint": "/v1/chat/completions", "completion_window": "24h", "requests": [REQUEST]}
PROPERTIES: dict[str, Any] = {
    **ORDER["properties"],
    "input_file_id": nullable(ORDER["properties"]["input_file_id"]),
    "requests": {"type": "array", "items": OBJECT},
}
FORM = {
    "type": "object",
    "required": ["file", "endpoint"],
    "properties": {
        **ORDER["properties"],
        "file": {"type": "string", "format": "binary"},
        "metadata": {"type": "string", "description": "JSON."},
        "model": {"type": "string", "description": "For rows of a table that name none."},
        "template": {
            "type": "string",
            "description": "A request's body with {{column}} for a table's cells.",
        },
    },
}


def one_of(*choices: str) -> dict[str, Any]:
    return {"type": "string", "enum": list(choices)}


def created(description: str, schema: dict[str, Any], *statuses: str) -> dict[str, Any]:
    """An answer 201, and what may be wrong."""
    return {"201": {"description": description, "content": {JSON: {"schema": schema}}}, **errors(*statuses)}


def tabled(responses: dict[str, Any], *, only: bool = False) -> dict[str, Any]:
    """The answer as a table too, or as nothing but one."""
    answer = responses["200"]
    content = {} if only else answer["content"]
    table = {"text/csv": {"schema": {"type": "string"}}}
    return {**responses, "200": {**answer, "content": {**content, **table}}}


CREATE = operation(
    "POST",
    operationId="batch_create",
    tags=TAG,
    description="Create a batch of a list of requests, of an uploaded file, or of a file sent along.",
    parameters=[BRAND, KEY],
    requestBody={
        "required": True,
        "content": {
            JSON: {
                "schema": {"type": "object", "required": ["endpoint"], "properties": PROPERTIES},
                "example": EXAMPLE,
            },
            "multipart/form-data": {"schema": FORM},
        },
    },
    responses=created("`{success, batch}`.", BATCH, "413", "429", "507"),
)
UPLOAD = operation(
    "POST",
    operationId="batch_upload",
    tags=TAG,
    description="Upload JSONL, CSV or a workbook; a table becomes a file of requests.",
    parameters=[BRAND, KEY],
    requestBody={
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "purpose": one_of("batch"),
                        "endpoint": {"type": "string"},
                        "model": {"type": "string"},
                        "template": {"type": "string"},
                    },
                }
            }
        },
    },
    responses=created("`{success, file}`.", schemas.enveloped(file=schemas.FILE), "415", "507"),
)
VALIDATE = operation(
    "POST",
    operationId="batch_validate",
    tags=TAG,
    description=(
        "What would become of a batch: errors by line (the first 100 and a count), tokens and cost at most,"
        " what each budget has left. Takes what `create` takes; nothing is kept, held or spent."
    ),
    parameters=[BRAND],
    requestBody={
        "required": True,
        "content": {
            JSON: {
                "schema": {"type": "object", "required": ["endpoint"], "properties": PROPERTIES},
                "example": EXAMPLE,
            },
            "multipart/form-data": {"schema": FORM},
        },
    },
    responses=told(
        "`{success, valid, fits, total, model, engine, sandbox, errors, estimate, budgets}`.",
        schemas.enveloped(**schemas.TRIAL),
        "404",
        "413",
        "415",
        "507",
    ),
)
LIST = operation(
    "GET",
    operationId="batch_list",
    tags=TAG,
    description="The brand's batches, by cursor (`source=api`) or by offset (`source=local`).",
    parameters=[
        BRAND,
        of_query("source", "How to page: by cursor, or by offset.", one_of("api", "local")),
        of_query("limit", "How many.", whole(1, 100)),
        of_query("after", "source=api: the batch behind which to go on."),
        of_query("offset", "source=local: how many to skip.", whole(0, 999_999_999)),
        of_query("status", "Only batches of this status."),
        of_query("endpoint", "Only batches of this endpoint.", one_of(*ENDPOINTS)),
        of_query("engine", "Only batches that this engine runs.", one_of("provider", "hub")),
        of_query("created_after", "Made at or after (seconds since 1970).", whole(0, 99_999_999_999)),
        of_query("created_before", "Made before (seconds since 1970).", whole(0, 99_999_999_999)),
        of_query("search", "A part of the id or of the file's name."),
    ],
    responses=told(
        "`{success, object, data, first_id, last_id, has_more}`; by offset also `total` and `offset`.",
        schemas.listing(schemas.GUIDE_BATCH, guide=True),
    ),
)
STATS = operation(
    "GET",
    operationId="batch_stats",
    tags=TAG,
    description="How many batches, requests and tokens; what they cost.",
    parameters=[BRAND, of_query("format", "As JSON or as a table.", one_of("json", "csv"))],
    responses=tabled(told("`{success, stats}`.", schemas.enveloped(stats=schemas.STATISTICS))),
)
TEMPLATE = operation(
    "GET",
    operationId="batch_template",
    tags=TAG,
    description="A table (CSV) to begin with.",
    parameters=[BRAND],
    responses=tabled(told("The table.", {}), only=True),
)
ONE = operation(
    "GET",
    operationId="batch_get",
    tags=TAG,
    description="A batch with its progress.",
    parameters=[
        BRAND,
        of_path("batch_id"),
        of_query("refresh", "Ask the provider first, where one runs it.", {"type": "boolean"}),
    ],
    responses=told("`{success, batch}`.", BATCH, "404"),
)
CANCEL = operation(
    "POST",
    operationId="batch_cancel",
    tags=TAG,
    description="Cancel a batch; what runs is finished, the rest is not begun.",
    parameters=[BRAND, of_path("batch_id")],
    responses=told("`{success, batch}`.", BATCH, "404", "409"),
)
RETRY = operation(
    "POST",
    operationId="batch_retry_failed",
    tags=TAG,
    description="A new batch of the lines that did not succeed, linked to this one.",
    parameters=[BRAND, KEY, of_path("batch_id")],
    responses=created("`{success, batch}` of the new batch.", BATCH, "404", "409", "429", "507"),
)
EVENTS = operation(
    "GET",
    operationId="batch_events",
    tags=TAG,
    description="A batch's progress as server-sent events; the last is named after its end.",
    parameters=[BRAND, of_path("batch_id")],
    responses={
        "200": {
            "description": "Events.",
            "content": stream("JSON: `batch` of `GET /api/batch/{batch_id}`.", "progress", *sorted(OVER)),
        },
        **errors("404"),
    },
)
RESULTS = operation(
    "GET",
    operationId="batch_results",
    tags=TAG,
    description=(
        "What has come of the lines, also while it runs; tables tell tokens and costs. A batch on its"
        " provider's batch API has none before its end: 409, and `results_available` is false."
    ),
    parameters=[
        BRAND,
        of_path("batch_id"),
        of_query("type", "Those that succeeded, or the others.", one_of("output", "error")),
        of_query("format", "How it is written.", one_of("jsonl", "csv", "xlsx")),
        of_query("link", "Not the file, but a link that is good for a minute.", {"type": "boolean"}),
    ],
    responses={
        "200": {
            "description": "The lines; with `link` `{success, url, expires_at}`.",
            "content": {
                "application/json": {
                    "schema": schemas.enveloped(url=schemas.TEXT, expires_at=schemas.WHOLE)
                },
                **{
                    kind: {"schema": {"type": "string", "format": "binary"}}
                    for kind in (
                        "application/jsonl",
                        "text/csv",
                        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
                    )
                },
            },
        },
        **errors("404", "409"),
    },
)
