"""Recurring batches in the OpenAPI document."""

from __future__ import annotations

from typing import Any

from ai_batch.api import schemas
from ai_batch.api.documents import BRAND, JSON, of_path, told
from ai_batch.api.guide_documents import PROPERTIES, REQUEST, TAG, created
from megahub.kernel.openapi import KEY, operation

SCHEDULE = schemas.enveloped(schedule=schemas.SCHEDULE)
PATH = [BRAND, of_path("schedule_id")]
OWN: dict[str, Any] = {
    "name": {"type": "string", "maxLength": 120},
    "cron": {"type": "string", "example": "0 6 * * 1-5"},
    "timezone": {"type": "string", "example": "Europe/Paris"},
}
NEW = {
    "type": "object",
    "required": ["cron", "endpoint"],
    "properties": {**PROPERTIES, **OWN},
}
EXAMPLE = {
    "name": "Each morning",
    "cron": "0 6 * * 1-5",
    "endpoint": "/v1/chat/completions",
    "requests": [REQUEST],
}
LIST = operation(
    "GET",
    operationId="batch_schedules_list",
    tags=TAG,
    description="The brand's recurring batches.",
    parameters=[BRAND],
    responses=told("`{success, object, data}`.", schemas.whole_list(schemas.SCHEDULE)),
)
CREATE = operation(
    "POST",
    operationId="batch_schedules_create",
    tags=TAG,
    description="A batch that comes again; `{{date}}` and its like in the requests are the day's.",
    parameters=[BRAND, KEY],
    requestBody={"required": True, "content": {JSON: {"schema": NEW, "example": EXAMPLE}}},
    responses=created("`{success, schedule}`.", SCHEDULE, "404", "413", "507"),
)
ONE = operation(
    "GET",
    operationId="batch_schedules_get",
    tags=TAG,
    description="A recurring batch.",
    parameters=PATH,
    responses=told("`{success, schedule}`.", SCHEDULE, "404"),
)
CHANGE = operation(
    "PATCH",
    operationId="batch_schedules_change",
    tags=TAG,
    description="Change a recurring batch, pause it, or let it go on.",
    parameters=PATH,
    requestBody={
        "required": True,
        "content": {
            JSON: {"schema": {"type": "object", "properties": {**OWN, "paused": {"type": "boolean"}}}}
        },
    },
    responses=told("`{success, schedule}`.", SCHEDULE, "404"),
)
DELETE = operation(
    "DELETE",
    operationId="batch_schedules_delete",
    tags=TAG,
    description="Delete a recurring batch; what it made stays.",
    parameters=PATH,
    responses=told(
        "That it is deleted.", schemas.enveloped(id=schemas.TEXT, deleted=schemas.YES_NO), "404"
    ),
)
HISTORY = operation(
    "GET",
    operationId="batch_schedules_history",
    tags=TAG,
    description="The latest batches that it made.",
    parameters=PATH,
    responses=told("`{success, object, data}`.", schemas.whole_list(schemas.GUIDE_BATCH), "404"),
)
