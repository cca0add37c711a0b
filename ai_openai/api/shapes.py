"""What the hot lane takes and answers, as OpenAPI schemas: parameters from the catalogue's own rows."""

from __future__ import annotations

from typing import Any

from ai_core.api import outcomes
from ai_openai.domain.chat import PRIORITIES
from ai_providers.catalogue import loading
from ai_providers.domain.spec import Kind, ParamRule
from megahub.kernel.openapi import stream

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
YES_NO: Schema = {"type": "boolean"}
ANY_OBJECT: Schema = {"type": "object", "additionalProperties": True}


def nullable(schema: Schema) -> Schema:
    return {**schema, "nullable": True}


def array(of: Schema) -> Schema:
    return {"type": "array", "items": of}


def record(required: dict[str, Schema], **optional: Schema) -> Schema:
    """An object that has ``required`` always and may have ``optional``."""
    return {"type": "object", "required": list(required), "properties": {**required, **optional}}


def opened(schema: Schema) -> Schema:
    """The same, with whatever else the provider says."""
    return {**schema, "additionalProperties": True}


MESSAGE = record(
    {
        "role": {
            "type": "string",
            "enum": ["system", "developer", "user", "assistant", "tool", "function"],
            "description": "A model may refuse a role or take it as another.",
        }
    },
    content={
        "nullable": True,
        "description": "A text, or parts (`text`, `image_url`, …) for models that take them.",
        "oneOf": [TEXT, array(ANY_OBJECT)],
    },
    name=TEXT,
    tool_calls=array(ANY_OBJECT),
    tool_call_id=TEXT,
    refusal=nullable(TEXT),
)


def parameters(kind: Kind) -> dict[str, Schema]:
    """What models of a kind take, each by the loosest of its rows."""
    rules: dict[str, list[ParamRule]] = {}
    for spec in loading.models().values():
        for rule in spec.params.values() if spec.kind == kind else ():
            rules.setdefault(rule.name, []).append(rule)
        for old, new in spec.renames.items() if spec.kind == kind else ():
            if new in spec.params:
                rules.setdefault(old, []).append(spec.params[new])
    found = {name: _parameter(these) for name, these in sorted(rules.items())}
    if "messages" in found:
        found["messages"] |= {"items": MESSAGE, "minItems": 1}
    return found


def _parameter(rules: list[ParamRule]) -> Schema:
    types = sorted({kind for rule in rules for kind in rule.types})
    found: Schema = {"description": rules[0].description, "nullable": True}
    if types == ["integer", "number"]:
        types = ["number"]
    if len(types) == 1 and types != ["any"]:
        found |= _typed(types[0])
    elif "any" not in types:
        found["anyOf"] = [_typed(kind) for kind in types]
    if types == ["string"] and all(rule.choices for rule in rules):
        found["enum"] = [*sorted({choice for rule in rules for choice in rule.choices}), None]
    for bound, name, pick in (("minimum", "minimum", min), ("maximum", "maximum", max)):
        bounds = [getattr(rule, bound) for rule in rules]
        if None not in bounds:
            found[name] = pick(bounds)
    return found


def _typed(kind: str) -> Schema:
    return {"array": {"type": "array", "items": {}}, "object": ANY_OBJECT}.get(kind, {"type": kind})


def body(required: list[str], properties: dict[str, Schema], example: Any) -> Schema:
    """A JSON request body; a name that is not there is refused, and each model takes some of them."""
    schema = taken(required, properties)
    return {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}


def taken(required: list[str], properties: dict[str, Schema]) -> Schema:
    """The schema of a body."""
    found = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**found, "required": required} if required else found


def answer(description: str, schema: Schema, *, streams: bool = False) -> Schema:
    """A JSON answer, which may be a stream of events instead."""
    content: Schema = {"application/json": {"schema": schema}}
    if streams:
        content |= stream(
            "JSON: a piece of the answer, or what went wrong. OpenAI's streams end with `[DONE]`."
        )
    return {"description": description, "content": content}


MODEL_NAME: Schema = {"type": "string", "minLength": 1, "description": "As `GET /v1/models` lists it."}
COMPLETION_ASKED = {"model": MODEL_NAME, **parameters("chat")}
EMBEDDINGS_ASKED = {"model": MODEL_NAME, **parameters("embeddings")}
CHAT_ASKED = {
    **COMPLETION_ASKED,
    "model": nullable(MODEL_NAME),
    "description": nullable({**TEXT, "description": "The job's, to find it again."}),
    "priority": {
        "type": "string",
        "nullable": True,
        "enum": [*PRIORITIES, None],
        "description": "Of a job that a worker runs.",
    },
    "async": nullable({**YES_NO, "description": "Accept it as a job and answer 202 at once."}),
}

COMPLETION = opened(
    record(
        {
            "id": TEXT,
            "object": {"type": "string", "enum": ["chat.completion"]},
            "created": WHOLE,
            "model": TEXT,
            "choices": array(
                opened(
                    record(
                        {
                            "index": WHOLE,
                            "message": opened(
                                record(
                                    {"role": TEXT},
                                    content=nullable(TEXT),
                                    refusal=nullable(TEXT),
                                    tool_calls=nullable(array(ANY_OBJECT)),
                                )
                            ),
                            "finish_reason": nullable(TEXT),
                        },
                        logprobs=nullable(ANY_OBJECT),
                    )
                )
            ),
        },
        usage=opened(
            record(
                {"prompt_tokens": WHOLE, "completion_tokens": WHOLE, "total_tokens": WHOLE},
                prompt_tokens_details=nullable(ANY_OBJECT),
                completion_tokens_details=nullable(ANY_OBJECT),
            )
        ),
    )
)
EMBEDDINGS = opened(
    record(
        {
            "object": {"type": "string", "enum": ["list"]},
            "data": array(
                opened(
                    record(
                        {
                            "object": {"type": "string", "enum": ["embedding"]},
                            "index": WHOLE,
                            "embedding": {"oneOf": [array(NUMBER), TEXT]},
                        }
                    )
                )
            ),
            "model": TEXT,
        },
        usage=opened(record({"prompt_tokens": WHOLE, "total_tokens": WHOLE})),
    )
)
MODEL = record(
    {
        "id": TEXT,
        "object": {"type": "string", "enum": ["model"]},
        "created": WHOLE,
        "owned_by": TEXT,
        "shutdown_date": nullable({"type": "string", "format": "date"}),
    }
)
MODELS = record({"object": {"type": "string", "enum": ["list"]}, "data": array(MODEL)})
LONG_MODEL = record(
    {
        "id": TEXT,
        "name": TEXT,
        "description": TEXT,
        "provider": TEXT,
        "generation": TEXT,
        "status": {"type": "string", "enum": ["active", "deprecated", "retired"]},
        "shutdown_date": nullable({"type": "string", "format": "date"}),
        "replacement": nullable(TEXT),
        "supports_reasoning": YES_NO,
        "supports_temperature": YES_NO,
        "reasoning_efforts": array(TEXT),
        "input_cost_per_token": nullable(NUMBER),
        "output_cost_per_token": nullable(NUMBER),
        "currency": nullable(TEXT),
        "context_window": nullable(WHOLE),
        "max_output_tokens": nullable(WHOLE),
        "recommended_for": array(TEXT),
        "default_params": ANY_OBJECT,
        "model_requirements": record(
            {"required": array(TEXT), "forbidden": array(TEXT), "optional": array(TEXT)}
        ),
        "performance_profile": record({"speed": TEXT, "quality": TEXT, "cost": TEXT}),
    }
)
CHAT_MODELS = record(
    {
        "models": array(LONG_MODEL),
        "generation_info": {
            "type": "object",
            "additionalProperties": record(
                {"models": array(TEXT), "features": array(TEXT), "limitations": array(TEXT)}
            ),
        },
        "selection_guide": {"type": "object", "additionalProperties": nullable(TEXT)},
        "default_model": TEXT,
    }
)
CHAT = record(
    {
        "job_id": TEXT,
        "status": TEXT,
        "result": outcomes.RESULT,
        "usage": record(
            {
                "prompt_tokens": WHOLE,
                "completion_tokens": WHOLE,
                "total_tokens": WHOLE,
                "cost_usd": nullable(
                    {"type": "string", "description": "In whole USD; null while unknown."}
                ),
            }
        ),
        "model": TEXT,
        "generation": TEXT,
        "reasoning_effort": nullable(TEXT),
        "execution_time_ms": nullable(WHOLE),
        "quality_indicators": outcomes.QUALITY,
        "sandbox": YES_NO,
        "warnings": outcomes.WARNINGS,
    }
)
ACCEPTED = record(
    {
        "job_id": TEXT,
        "status": {"type": "string", "enum": ["async"]},
        "task_id": TEXT,
        "message": TEXT,
        "estimated_completion": {"type": "string", "format": "date-time"},
        "reasoning_effort": nullable(TEXT),
    }
)
