"""What a job came to, as the OpenAPI document has it: its result, its error, its warnings."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
MAYBE_TEXT: Schema = {"type": "string", "nullable": True}
OBJECTS: Schema = {"type": "array", "items": {"type": "object", "additionalProperties": True}}

#: ``ai_core/domain/kinds.result_of``.
RESULT: Schema = {
    "type": "object",
    "nullable": True,
    "description": "A chat's `completion` and why it ended there, or the vectors of texts.",
    "properties": {
        "completion": {**MAYBE_TEXT, "description": "Null where the model only calls tools."},
        "finish_reason": MAYBE_TEXT,
        "tool_calls": OBJECTS,
        "embeddings": {
            "type": "array",
            "nullable": True,
            "items": {"type": "object", "additionalProperties": True},
        },
        "model": MAYBE_TEXT,
    },
}
ERROR: Schema = {
    "type": "object",
    "nullable": True,
    "description": "What the job failed with, in the reader's language, with the figures of that error.",
    "required": ["error_code", "detail"],
    "properties": {"error_code": TEXT, "detail": TEXT, "retryable": {"type": "boolean"}},
    "additionalProperties": True,
}
WARNINGS: Schema = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["code", "message", "model"],
        "properties": {
            "code": {"type": "string", "enum": ["MODEL_RETIRED", "MODEL_UNPRICED"]},
            "message": TEXT,
            "model": TEXT,
            "shutdown_date": {"type": "string", "format": "date"},
            "replacement": MAYBE_TEXT,
        },
    },
}
QUALITY: Schema = {
    "type": "object",
    "required": ["reasoning_steps", "confidence_score"],
    "properties": {
        "reasoning_steps": {"type": "integer", "nullable": True},
        "confidence_score": {"type": "number", "nullable": True},
    },
}


@extend_schema_field(RESULT)
class ResultField(serializers.DictField):
    """A job's result."""


@extend_schema_field(ERROR)
class ErrorField(serializers.DictField):
    """A job's error."""


@extend_schema_field({**WARNINGS, "nullable": True})
class WarningsField(serializers.ListField):
    """A job's warnings, null where there is no job."""
