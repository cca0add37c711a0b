"""The models the sandbox lists. Calls take any id but those with "does-not-exist" in them.

Shutdown dates: OpenAI's deprecations page as of 2026-11-20.
"""

from sandbox import errors
from sandbox.prompts import Body

UNKNOWN_MARK = "does-not-exist"
CREATED = 1_763_596_800  # 2025-11-20: real dates differ per model, and nothing depends on them

# id, owner, shutdown date
MODELS: tuple[tuple[str, str, str | None], ...] = (
    ("gpt-6.1-sol", "openai", None),
    ("gpt-6.1-terra", "openai", None),
    ("gpt-6-astra", "openai", None),
    ("gpt-6-luna", "openai", None),
    ("gpt-5.6-sol", "openai", None),
    ("gpt-5.6-luna", "openai", None),
    ("gpt-5.5", "openai", None),
    ("gpt-5.4", "openai", None),
    ("gpt-5.2", "openai", None),
    ("gpt-5.1", "openai", "2027-04-01"),
    ("gpt-5", "openai", "2026-12-11"),
    ("gpt-5-mini", "openai", "2026-12-11"),
    ("o3", "openai", "2026-12-11"),
    ("gpt-4.1", "openai", "2027-01-14"),
    ("gpt-4.1-mini", "openai", "2027-01-14"),
    ("gpt-4o", "openai", "2027-01-14"),
    ("gpt-4o-mini", "openai", "2027-01-14"),
    ("text-embedding-3-large", "openai", None),
    ("text-embedding-3-small", "openai", None),
    ("text-embedding-ada-002", "openai", None),
    ("omni-moderation-latest", "openai", None),
    ("moonshotai/Kimi-K2.6", "infomaniak", None),
    ("Qwen/Qwen3.5-122B-A10B-FP8", "infomaniak", None),
    ("google/gemma-4-31B-it", "infomaniak", None),
    ("mistralai/Mistral-Small-4-119B-2603", "infomaniak", None),
    ("swiss-ai/Apertus-v1.5-70B", "infomaniak", None),
    ("bge_multilingual_gemma2", "infomaniak", None),
)

_RENDERED: dict[str, Body] = {
    model_id: {
        "id": model_id,
        "object": "model",
        "created": CREATED,
        "owned_by": owner,
        "shutdown_date": shutdown_date,
    }
    for model_id, owner, shutdown_date in MODELS
}


def listing() -> Body:
    return {"object": "list", "data": list(_RENDERED.values())}


def infomaniak_listing() -> Body:
    """Infomaniak's own list, in its envelope."""
    own = [model_id for model_id, owner, _ in MODELS if owner == "infomaniak"]
    rows = [
        {"id": number, "name": name, "type": _type(name), "info_status": "ready"}
        for number, name in enumerate(own, start=1)
    ]
    return {"result": "success", "data": rows}


def _type(model_id: str) -> str:
    return "embedding" if model_id.startswith("bge") else "llm"


def get(model_id: str) -> Body:
    if model_id not in _RENDERED:
        raise errors.unknown_model(model_id)
    return _RENDERED[model_id]
