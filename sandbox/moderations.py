"""Moderations, without a socket: a text with `[flag]` in it is flagged as violence."""

from typing import Any

from sandbox import errors, fields, prompts, prose
from sandbox.prompts import Body

CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)
FLAGGED = "violence"

RULES = {"model": fields.TEXT, "input": fields.TEXT_OR_ARRAY}


def answer(body: Body) -> Body:
    fields.check(body, RULES, required=("input",))
    texts = _texts(body["input"])
    model = body.get("model") or "omni-moderation-latest"
    return {
        "id": f"modr-sandbox-{prose.digest(model, texts).hex()}",
        "model": model,
        "results": [_result("[flag]" in text) for text in texts],
    }


def _texts(value: Any) -> list[str]:
    """One text per result: parts ({"type": "text"}, {"type": "image_url"}) are judged together."""
    if isinstance(value, str):
        return [value]
    if not value:
        raise errors.empty_array("input")
    if all(isinstance(item, dict) for item in value):
        return [prompts.text_of(value)]
    fields.check_text_array("input", value)
    return list(value)


def _result(flagged: bool) -> Body:
    hits = {name: flagged and name == FLAGGED for name in CATEGORIES}
    return {
        "flagged": flagged,
        "categories": hits,
        "category_scores": {name: 0.98 if hit else 0.0001 for name, hit in hits.items()},
        "category_applied_input_types": {name: ["text"] for name in CATEGORIES},
    }
