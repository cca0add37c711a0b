"""The hot lane's operations in the OpenAPI document."""

from __future__ import annotations

from ai_openai.api import shapes
from megahub.kernel.openapi import KEY, operation
from megahub.kernel.refusals import PROVIDER, SPENDING, named

#: What /docs/ fills in: a request that works as it stands.
ASKED = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Say hello."}]}
#: ``POST /ai/openai/jobs/``, and what may be changed of such a job: DRF's views take it from here.
CHAT_BODY = {"application/json": shapes.taken(["messages"], shapes.CHAT_ASKED)}
CHANGED_BODY = {
    "application/json": shapes.taken(
        [],
        {
            **{name: schema for name, schema in shapes.CHAT_ASKED.items() if name != "async"},
            "progress_percentage": {
                "type": "integer",
                "minimum": 0,
                "maximum": 100,
                "description": "While the job runs.",
            },
        },
    )
}
RUNS = named(*PROVIDER, *SPENDING)

CHAT_MODELS = operation(
    "GET",
    operationId="openai_chat_models",
    tags=["openai"],
    summary="The chat models with parameters, prices, dates and a guide",
    description="Retired models are listed too, marked by `status`. A price that is not known is null.",
    responses={"200": shapes.answer("Models, generations, selection guide.", shapes.CHAT_MODELS)},
)
CHAT = operation(
    "POST",
    operationId="openai_chat",
    tags=["openai"],
    summary="A chat completion: now, later (`async`), or as a stream (`stream`)",
    description=(
        "MEGAHUB's defaults are filled in, parameters that the model refuses are refused by name, and"
        " the most that it may cost is held against the budgets before the provider is called. A stream"
        " is made of events `job`, `delta` and `done`, the last with the whole answer."
    ),
    parameters=[
        KEY,
        {
            "name": "async",
            "in": "query",
            "required": False,
            "description": "The same as `async` in the body: `true` or `1`.",
            "schema": {"type": "string"},
        },
    ],
    requestBody=shapes.body(["messages"], shapes.CHAT_ASKED, ASKED),
    responses={
        "200": shapes.answer("The completion with its usage and cost.", shapes.CHAT, streams=True),
        "202": shapes.answer("Accepted for a worker; poll the job's result.", shapes.ACCEPTED),
    },
    **RUNS,
)
COMPLETIONS = operation(
    "POST",
    operationId="v1_chat_completions",
    tags=["openai-compatible"],
    summary="Create a chat completion (OpenAI's wire)",
    description=(
        "OpenAI's clients call it unchanged. The provider's own defaults hold; headers tell of the job"
        " (`X-MegaHub-Job-Id`), of the sandbox and of warnings."
    ),
    parameters=[KEY],
    requestBody=shapes.body(["model", "messages"], shapes.COMPLETION_ASKED, ASKED),
    responses={"200": shapes.answer("A chat.completion, or its chunks.", shapes.COMPLETION, streams=True)},
    **RUNS,
)
EMBEDDINGS = operation(
    "POST",
    operationId="v1_embeddings",
    tags=["openai-compatible"],
    summary="Create embeddings (OpenAI's wire)",
    description="A text or a list of texts becomes vectors, in the order of the input.",
    parameters=[KEY],
    requestBody=shapes.body(
        ["model", "input"], shapes.EMBEDDINGS_ASKED, {"model": "text-embedding-3-small", "input": "A text"}
    ),
    responses={"200": shapes.answer("A list of embeddings with its usage.", shapes.EMBEDDINGS)},
    **RUNS,
)
MODELS = operation(
    "GET",
    operationId="v1_models",
    tags=["openai-compatible"],
    summary="List the models that can be called",
    description="OpenAI's list, with the day on which a model is shut down beside it.",
    responses={"200": shapes.answer("A list of models.", shapes.MODELS)},
)
MODEL = operation(
    "GET",
    operationId="v1_model",
    tags=["openai-compatible"],
    summary="One model",
    description="The entry of `GET /v1/models` for one model.",
    parameters=[
        {
            "name": "model_id",
            "in": "path",
            "required": True,
            "description": "As the list names it.",
            "schema": {"type": "string"},
        }
    ],
    responses={"200": shapes.answer("The model.", shapes.MODEL)},
)
