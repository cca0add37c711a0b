"""What sequences of requests begin with: schemathesis's hooks, for its stateful phase alone.

A sequence goes on from what was answered; random values for the names of models, addresses and files are
refused, and a refused creation is about nothing that could be read, changed and deleted afterwards. The
other phases keep their random values.
"""

from __future__ import annotations

import json
import os
from typing import Any

import schemathesis

ASKED = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Say hello."}]}
LINE = {
    "custom_id": "one",
    "method": "POST",
    "url": "/v1/chat/completions",
    "body": {**ASKED, "max_tokens": 9},
}
MODEL = "gpt-4o-mini"

#: A field of a body that names something: one that there is.
KNOWN: dict[str, Any] = {
    "analysis_type": "seo",
    "completion_window": "24h",
    "contents": ["Well done."],
    "cost_input": "0.01",
    "cron": "0 6 * * *",
    "current_value": "1.5",
    "delivery": "webhook",
    "endpoint": "/v1/chat/completions",
    "engine": "hub",
    "filters": {},
    "input_data": ASKED,
    "job_type": "chat_completion",
    "limit": "5",
    "model": MODEL,
    "model_name": MODEL,
    "only_this_brand": False,
    "provider": "openai",
    "provider_name": "openai",
    "purpose": "batch",
    "requests_per_minute": 1_000_000,
    "score": "8.5",
    "threshold": "0.5",
    "threshold_value": "1.5",
    "total_cost": "0.02",
    "url": os.environ.get("HUB_SANDBOX_URL", "https://example.com/hooks"),
}
#: What would be refused beside those, or end the walker's own access or budget.
LEFT_OUT = frozenset(
    (
        *("brand_id", "brands", "default_brand", "is_hard", "scope", "scope_value", "unit"),
        *("created_at", "metadata", "timezone", "reasoning_effort", "recipients", "otp"),
        *(
            "monthly_cost_limit",
            "monthly_token_limit",
            "openai_api_key",
            "anthropic_api_key",
            "google_api_key",
            "infomaniak_api_key",
            "prompts",
            "words",
        ),
    )
)
#: Whole bodies: those with a parameter for each of the models' own, most of which a model does not take.
BATCH = {"endpoint": "/v1/chat/completions", "requests": [LINE]}
BODIES: dict[str, list[dict[str, Any]]] = {
    "batch_create": [{**BATCH, "engine": "hub"}, BATCH],
    "batch_schedules_change": [{"name": "Changed."}, {"cron": "0 7 * * 1"}],
    "batch_schedules_create": [{**BATCH, "cron": "0 6 * * *", "name": "Each morning."}],
    "batch_validate": [BATCH],
    "v1_batches_create": [
        {"input_file_id": "file-0", "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    ],
    "openai_chat": [ASKED, {**ASKED, "async": True}, {**ASKED, "stream": True}],
    "v1_chat_completions": [ASKED, {**ASKED, "stream": True}],
    "v1_embeddings": [{"model": "text-embedding-3-small", "input": "Hello."}],
    "ai_openai_jobs_create": [ASKED, {**ASKED, "async": False}],
    "ai_openai_jobs_update": [{"description": "Changed."}, {"priority": "low"}],
    "ai_openai_jobs_partial_update": [{"description": "Changed."}, {"priority": "high"}],
}
#: Parameters that lead away from what was just made.
RANDOM_QUERY = frozenset(
    ("after", "brand", "brand_id", "cursor", "date_from", "date_to", "offset", "page", "search")
)
#: What a creation must say, although the document does not insist on it.
INSISTED: dict[str, dict[str, Any]] = {
    "ai_usage_create": {"provider_name": "openai"},
    "ai_rate_limits_create": {"requests_per_minute": 1_000_000},
    "privacy_erase": {"end_user": "somebody"},
}
#: Of these there is one for each scope.
PER_MODEL = ("ai_budgets_create", "ai_rate_limits_create")
MODELS = (
    *(
        "gpt-3.5-turbo",
        "gpt-4",
        "gpt-4-turbo",
        "gpt-4.1",
        "gpt-4.1-mini",
        "gpt-4.1-nano",
        "gpt-4o",
        "gpt-4o-mini",
    ),
    *("gpt-5", "gpt-5-mini", "gpt-5-nano", "o1", "o1-mini", "o3-mini", "o3-pro", "o4-mini"),
)
FORM = ("endpoint", "completion_window", "purpose")
HEADERS = ("X-Brand-ID", "Idempotency-Key", "If-None-Match")
#: Names of what no operation makes: schemathesis begins no sequence with an operation that has one of them.
OF_NOTHING = frozenset(
    (
        *("api_key_id", "assistant_id", "brand_id", "infomaniak_product_id", "input_file_id"),
        *("provider_name", "request_id", "user_id", *HEADERS),
    )
)
#: (operation, status, where its answer names it, the parameter that takes the name, who takes it).
JOBS = (
    "ai_jobs_retrieve",
    "ai_jobs_update",
    "ai_jobs_partial_update",
    "ai_jobs_cancel_create",
    "ai_jobs_destroy",
)
BATCHES = (
    "batch_get",
    "batch_results",
    "batch_events",
    "batch_cancel",
    "batch_retry_failed",
    "v1_batches_get",
)
LINKS: tuple[tuple[str, str, str, str, tuple[str, ...]], ...] = (
    (
        *("ai_jobs_create", "201", "/job_id", "ref"),
        (*JOBS, "job_events", "ai_jobs_feedback_create", "ai_jobs_feedback_retrieve"),
    ),
    ("ai_jobs_list", "200", "/results/*/job_id", "ref", (*JOBS, "job_events", "ai_jobs_feedback_create")),
    (
        *("ai_openai_jobs_create", "201", "/ai_job/job_id", "ref"),
        ("ai_openai_jobs_retrieve", "ai_openai_jobs_update", "ai_openai_jobs_partial_update"),
    ),
    ("openai_chat", "202", "/job_id", "job_id", ("ai_openai_completion_job_result_retrieve",)),
    ("batch_create", "201", "/batch/id", "batch_id", BATCHES),
    ("batch_list", "200", "/data/*/id", "batch_id", BATCHES),
    ("ai_webhooks_create", "201", "/id", "webhook_pk", ("ai_webhooks_deliveries_list",)),
    ("ai_webhooks_list", "200", "/results/*/id", "webhook_pk", ("ai_webhooks_deliveries_list",)),
    (
        *("ai_webhooks_list", "200", "/results/*/id", "id"),
        ("ai_webhooks_retrieve", "ai_webhooks_partial_update", "ai_webhooks_destroy"),
    ),
    (
        *("ai_alerts_rules_list", "200", "/*/alert_type", "alert_type"),
        ("ai_alerts_rules_update", "ai_alerts_rules_partial_update"),  # deleted, one is its default again
    ),
    ("ai_providers_list", "200", "/*/name", "ref", ("ai_providers_retrieve",)),
    ("models_list", "200", "/*/id", "model_id", ("model_schema",)),
)


@schemathesis.hook
def before_load_schema(context: Any, raw_schema: dict[str, Any]) -> None:
    """The links that names alone do not tell: a job's ``ref`` is what it is answered as ``job_id``.

    ``X-Brand-ID`` and its like go: that every operation may take a brand makes schemathesis believe
    that none of them can be the first of a sequence, and begin with all of them, at numbers of nothing.
    """
    known = {
        operation["operationId"]: operation
        for item in raw_schema["paths"].values()
        for operation in item.values()
    }
    for operation in known.values():
        parameters = operation.get("parameters", [])
        operation["parameters"] = [one for one in parameters if one["name"] not in OF_NOTHING]
        if operation["operationId"] != "v1_batches_create":
            for media in operation.get("requestBody", {}).get("content", {}).values():
                _without(media["schema"])
        form = operation.get("requestBody", {}).get("content", {}).get("multipart/form-data")
        if form:
            named = {
                "schema": {"type": "string"},
                "example": 'form-data; name="file"; filename="lines.jsonl"',
            }
            form["encoding"] = {"file": {"headers": {"Content-Disposition": named}}}
    for name, schema in raw_schema["components"]["schemas"].items():
        if name.endswith("Request"):
            _without(schema)
    for source, status, pointer, parameter, targets in LINKS:
        links = known[source]["responses"][status].setdefault("links", {})
        for target in targets:
            if target not in known:
                raise KeyError(target)
            links[f"{target} by {parameter}"] = {
                "operationId": target,
                "parameters": {parameter: f"$response.body#{pointer}"},
                "x-schemathesis": {"is_inferred": True},  # else `*` is no expression
            }


@schemathesis.hook
def map_query(context: Any, query: Any) -> Any:
    """Filters of closed choices, and what must be there."""
    known = {one["name"]: one for one in context.operation.definition.raw.get("parameters", ())}
    return {
        name: value
        for name, value in (query or {}).items()
        if name not in RANDOM_QUERY
        and (known[name].get("required") or {"enum", "minimum"} & set(known[name]["schema"]))
    }


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """The generated body, with names of what there is."""
    operation = context.operation.definition.raw["operationId"]
    number = len(json.dumps(body, default=str))
    if not isinstance(body, dict):
        return BODIES[operation][0] if operation in BODIES else body
    if "file" in body:
        return {
            "file": json.dumps(LINE).encode(),
            **_known({name: body[name] for name in body if name in FORM}),
        }
    if operation in BODIES:
        return dict(BODIES[operation][number % len(BODIES[operation])])
    body = {name: value for name, value in {**body, **_known(body)}.items() if name not in LEFT_OUT}
    if operation in PER_MODEL:
        body |= {"scope": "model", "scope_value": MODELS[number % len(MODELS)]}
    return body | INSISTED.get(operation, {})


def _without(schema: dict[str, Any]) -> None:
    """Take the names of nothing out of a body's schema."""
    for name in OF_NOTHING & set(schema.get("properties", ())):
        del schema["properties"][name]
    if "required" in schema:
        schema["required"] = [name for name in schema["required"] if name not in OF_NOTHING]


def _known(body: dict[str, Any]) -> dict[str, Any]:
    return {name: KNOWN[name] for name in body if name in KNOWN}
