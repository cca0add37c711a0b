"""The hot lane's operations in the OpenAPI document."""

from __future__ import annotations

from typing import Any

from megahub.kernel.openapi import operation

JSON = "application/json"
OBJECT: dict[str, Any] = {"type": "object", "additionalProperties": True}
ERRORS = {
    status: {"description": text, "content": {JSON: {"schema": OBJECT}}}
    for status, text in {
        "400": "A parameter is wrong; the body names it.",
        "401": "No token, or one that is not valid.",
        "403": "Not allowed, or no room in a budget.",
        "404": "No such model or brand.",
        "409": "The Idempotency-Key is in use.",
        "413": "The body is too large.",
        "422": "The Idempotency-Key was used with another body.",
        "429": "Too many requests; see Retry-After.",
        "502": "The provider answered with an error.",
        "503": "The provider or the database cannot be reached.",
        "504": "The provider did not answer in time.",
    }.items()
}
MESSAGES = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["role"],
        "properties": {
            "role": {"type": "string", "example": "user"},
            "content": {"example": "Say hello."},
        },
    },
}
BRAND = {
    "name": "X-Brand-ID",
    "in": "header",
    "required": False,
    "description": "The brand; without it the user's default or only one.",
    "schema": {"type": "integer"},
}
KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key and body replays the answer for 24 hours.",
    "schema": {"type": "string", "maxLength": 255},
}


#: What /docs/ fills in: a request that works as it stands.
ASKED = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Say hello."}]}


def body(required: list[str], properties: dict[str, Any], example: dict[str, Any]) -> dict[str, Any]:
    """A JSON request body; parameters beyond those named are the model's own."""
    schema = {
        "type": "object",
        "required": required,
        "properties": properties,
        "additionalProperties": True,
    }
    return {"required": True, "content": {JSON: {"schema": schema, "example": example}}}


def answer(description: str, *, streams: bool = False) -> dict[str, Any]:
    """A JSON answer, which may be a stream of events instead."""
    content: dict[str, Any] = {JSON: {"schema": OBJECT}}
    if streams:
        content["text/event-stream"] = {"schema": {"type": "string"}}
    return {"description": description, "content": content}


CHAT_MODELS = operation(
    "GET",
    operationId="openai_chat_models",
    tags=["openai"],
    summary="The chat models with parameters, prices, dates and a guide",
    responses={"200": answer("Models, generations, selection guide."), "401": ERRORS["401"]},
)
CHAT = operation(
    "POST",
    operationId="openai_chat",
    tags=["openai"],
    summary="A chat completion: now, later (`async`), or as a stream (`stream`)",
    parameters=[BRAND, KEY],
    requestBody=body(
        ["messages"],
        {
            "model": {"type": "string", "example": "gpt-4o-mini"},
            "messages": MESSAGES,
            "description": {"type": "string"},
            "priority": {"type": "string", "enum": ["low", "normal", "high", "urgent"]},
            "async": {"type": "boolean", "default": False},
            "stream": {"type": "boolean", "default": False},
            "reasoning_effort": {"type": "string"},
            "max_completion_tokens": {"type": "integer"},
            "temperature": {"type": "number"},
        },
        ASKED,
    ),
    responses={
        "200": answer("The completion with its usage and cost.", streams=True),
        "202": answer("Accepted for a worker; poll the job's result."),
        **ERRORS,
    },
)
COMPLETIONS = operation(
    "POST",
    operationId="v1_chat_completions",
    tags=["openai-compatible"],
    summary="Create a chat completion (OpenAI's wire)",
    parameters=[BRAND, KEY],
    requestBody=body(
        ["model", "messages"],
        {
            "model": {"type": "string", "example": "gpt-4o-mini"},
            "messages": MESSAGES,
            "stream": {"type": "boolean"},
        },
        ASKED,
    ),
    responses={"200": answer("A chat.completion, or its chunks.", streams=True), **ERRORS},
)
EMBEDDINGS = operation(
    "POST",
    operationId="v1_embeddings",
    tags=["openai-compatible"],
    summary="Create embeddings (OpenAI's wire)",
    parameters=[BRAND, KEY],
    requestBody=body(
        ["model", "input"],
        {
            "model": {"type": "string", "example": "text-embedding-3-small"},
            "input": {"example": "A text"},
        },
        {"model": "text-embedding-3-small", "input": "A text"},
    ),
    responses={"200": answer("A list of embeddings with its usage."), **ERRORS},
)
MODELS = operation(
    "GET",
    operationId="v1_models",
    tags=["openai-compatible"],
    summary="List the models that can be called",
    responses={"200": answer("A list of models."), "401": ERRORS["401"]},
)
MODEL = operation(
    "GET",
    operationId="v1_model",
    tags=["openai-compatible"],
    summary="One model",
    parameters=[{"name": "model_id", "in": "path", "required": True, "schema": {"type": "string"}}],
    responses={"200": answer("The model."), "401": ERRORS["401"], "404": ERRORS["404"]},
)
