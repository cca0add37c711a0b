"""A company's policy of batches in the OpenAPI document."""

from __future__ import annotations

from ai_batch.api import schemas
from ai_batch.api.documents import BRAND, JSON, told
from ai_batch.api.guide_documents import TAG, one_of
from megahub.kernel.openapi import operation

ENGINE = {
    "type": "object",
    "required": ["engine"],
    "properties": {"engine": one_of("auto", "provider", "hub")},
}
READ = operation(
    "GET",
    operationId="batch_policy",
    tags=TAG,
    description="Which engine runs the company's batches that ask for none.",
    parameters=[BRAND],
    responses=told("`{success, engine}`.", schemas.enveloped(engine=schemas.TEXT)),
)
CHANGE = operation(
    "PUT",
    operationId="batch_policy_change",
    tags=TAG,
    description="Change which engine runs the company's batches that ask for none; for administrators.",
    parameters=[BRAND],
    requestBody={"required": True, "content": {JSON: {"schema": ENGINE}}},
    responses=told("`{success, engine}`.", schemas.enveloped(engine=schemas.TEXT)),
)
