"""Files and batches in the OpenAPI document."""

from __future__ import annotations

from typing import Any

from ai_batch.api import schemas
from ai_batch.api.forms import ENGINES
from ai_openai.api.shapes import nullable
from megahub.kernel.openapi import KEY, operation

JSON = "application/json"
OBJECT: dict[str, Any] = {"type": "object", "additionalProperties": True}
TEXTS = {
    "400": "A parameter is wrong; the error names it.",
    "401": "No token, or one that is not valid.",
    "403": "Not allowed.",
    "404": "There is no such file or batch.",
    "409": "The batch has ended already.",
    "413": "The body is too large.",
    "415": "Not sent as it should be.",
    "429": "A rate limit is reached; `Retry-After` tells when to come back.",
    "503": "The database cannot be reached.",
    "507": "There is no room left for files.",
}


def errors(*statuses: str) -> dict[str, Any]:
    """The answers to what is wrong."""
    wanted = ("400", "401", "403", *statuses, "503")
    return {s: {"description": TEXTS[s], "content": {JSON: {"schema": OBJECT}}} for s in wanted}


def told(description: str, schema: dict[str, Any], *statuses: str) -> dict[str, Any]:
    """A JSON answer, and what may be wrong."""
    return {"200": {"description": description, "content": {JSON: {"schema": schema}}}, **errors(*statuses)}


def of_path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def of_query(name: str, description: str, schema: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": description,
        "schema": schema or {"type": "string"},
    }


def whole(low: int, high: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": low, "maximum": high}


BRAND = {
    "name": "X-Brand-ID",
    "in": "header",
    "required": False,
    "description": "The brand; without it the user's default or only one.",
    "schema": {"type": "integer"},
}
FORM = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file", "purpose"],
                "properties": {
                    "file": {"type": "string", "format": "binary"},
                    "purpose": {"type": "string", "enum": ["batch"]},
                    "expires_after[anchor]": {"type": "string", "enum": ["created_at"]},
                    "expires_after[seconds]": whole(3600, 2_592_000),
                },
            }
        }
    },
}
ORDER: dict[str, Any] = {
    "type": "object",
    "required": ["input_file_id", "endpoint", "completion_window"],
    "properties": {
        "input_file_id": {"type": "string"},
        "endpoint": {"type": "string"},
        "completion_window": {"type": "string", "enum": ["24h"]},
        "metadata": nullable({"type": "object", "additionalProperties": {"type": "string"}}),
        "output_expires_after": nullable(OBJECT),
        "engine": nullable({"type": "string", "enum": [*ENGINES, None]}),
        "max_attempts": nullable(whole(1, 10)),
        "backoff_seconds": nullable(whole(0, 3600)),
        "notify": nullable({"type": "boolean", "description": "Mail its maker at the end."}),
    },
}
ORDER_EXAMPLE = {
    "input_file_id": "file-abc123",
    "endpoint": "/v1/chat/completions",
    "completion_window": "24h",
    "metadata": {"project": "translations"},
}
FILES = operation(
    "GET",
    operationId="v1_files_list",
    tags=["v1"],
    description="The brand's files, the newest first.",
    parameters=[
        BRAND,
        of_query("purpose", "Only files of this purpose."),
        of_query("limit", "How many.", whole(1, 10_000)),
        of_query("after", "The file behind which to go on."),
        of_query("order", "By creation.", {"type": "string", "enum": ["asc", "desc"]}),
    ],
    responses=told("A list of File objects.", schemas.listing(schemas.FILE)),
)
UPLOAD = operation(
    "POST",
    operationId="v1_files_upload",
    tags=["v1"],
    description="Upload a file of requests (JSONL, 200 MB at most).",
    parameters=[BRAND, KEY],
    requestBody=FORM,
    responses=told("The File object.", schemas.FILE, "415", "507"),
)
FILE = operation(
    "GET",
    operationId="v1_files_get",
    tags=["v1"],
    description="A file.",
    parameters=[BRAND, of_path("file_id")],
    responses=told("The File object.", schemas.FILE, "404"),
)
FORGET_FILE = operation(
    "DELETE",
    operationId="v1_files_delete",
    tags=["v1"],
    description="Delete a file; a batch that reads it goes on to its end.",
    parameters=[BRAND, of_path("file_id")],
    responses=told("That it is deleted.", schemas.DELETED, "404"),
)
CONTENT = operation(
    "GET",
    operationId="v1_files_content",
    tags=["v1"],
    description="A file's content.",
    parameters=[BRAND, of_path("file_id")],
    responses={
        "200": {
            "description": "The bytes.",
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        },
        **errors("404"),
    },
)
BATCHES = operation(
    "GET",
    operationId="v1_batches_list",
    tags=["v1"],
    description="The brand's batches, the newest first.",
    parameters=[
        BRAND,
        of_query("limit", "How many.", whole(1, 100)),
        of_query("after", "The batch behind which to go on."),
    ],
    responses=told("A list of Batch objects.", schemas.listing(schemas.BATCH)),
)
NEW_BATCH = operation(
    "POST",
    operationId="v1_batches_create",
    tags=["v1"],
    description="Create a batch of an uploaded file; what is wrong in it is told later.",
    parameters=[BRAND, KEY],
    requestBody={"required": True, "content": {JSON: {"schema": ORDER, "example": ORDER_EXAMPLE}}},
    responses=told("The Batch object, about to be validated.", schemas.BATCH, "413", "429"),
)
BATCH = operation(
    "GET",
    operationId="v1_batches_get",
    tags=["v1"],
    description="A batch.",
    parameters=[BRAND, of_path("batch_id")],
    responses=told("The Batch object.", schemas.BATCH, "404"),
)
CANCEL = operation(
    "POST",
    operationId="v1_batches_cancel",
    tags=["v1"],
    description="Cancel a batch; what runs is finished, the rest is not begun.",
    parameters=[BRAND, of_path("batch_id")],
    responses=told("The Batch object.", schemas.BATCH, "404", "409"),
)
