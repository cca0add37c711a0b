"""Make ``openai/schemas.json``: the few JSON Schemas of OpenAI's specification that the tests need.

    python -m tests.wire.extract_schemas <openapi.yaml> [<schemas.json>]

Source: github.com/openai/openai-openapi, ``openapi.yaml`` v2.3.0 of 2026-08-21 (commit f85dbe2), MIT
licence. References are put in place, prose and vendor extensions left out, ``nullable`` of OpenAPI 3.0
is said as JSON Schema says it.

Two known faults of that specification against real traffic (provider-facts.md) are mended here:
``logprobs`` is marked required in the choices of a chat response, and ``system_fingerprint`` may be
null although it is marked a plain string.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

Schema = dict[str, Any]

#: The names under which the tests ask for them.
WANTED = {
    "chat_request": "CreateChatCompletionRequest",
    "chat_response": "CreateChatCompletionResponse",
    "chat_chunk": "CreateChatCompletionStreamResponse",
    "embeddings_request": "CreateEmbeddingRequest",
    "embeddings_response": "CreateEmbeddingResponse",
    "models": "ListModelsResponse",
    "error": "ErrorResponse",
}
PROSE = frozenset(
    "description title example examples default deprecated discriminator externalDocs nullable".split()
)
#: Here the keys are names of properties, not words of JSON Schema.
NAMED = frozenset(("properties", "patternProperties", "$defs"))
SOURCE = "OpenAI's specification v2.3.0 of 2026-08-21 (github.com/openai/openai-openapi), MIT licence"


def extract(specification: Schema) -> Schema:
    """The wanted schemas by name, each whole in itself."""
    schemas = specification["components"]["schemas"]
    found = {name: placed(schemas[theirs], schemas, ()) for name, theirs in WANTED.items()}
    mend(found)
    return {"source": SOURCE, "version": specification["info"]["version"], "schemas": found}


def placed(node: Any, schemas: Schema, above: tuple[str, ...]) -> Any:
    """``node`` with what it refers to in its place; what refers to itself is left open."""
    if isinstance(node, list):
        return [placed(item, schemas, above) for item in node]
    if not isinstance(node, dict):
        return node
    name = node.get("$ref", "").rpartition("/")[2]
    if name in above:
        return {}
    if name:
        target = placed(schemas[name], schemas, (*above, name))
        beside = _words({key: value for key, value in node.items() if key != "$ref"}, schemas, above)
        return _or_null({**target, **beside}, node.get("nullable", False))
    return _or_null(_words(node, schemas, above), node.get("nullable", False))


def _words(node: Schema, schemas: Schema, above: tuple[str, ...]) -> Schema:
    kept: Schema = {}
    for key, value in node.items():
        if key in PROSE or key.startswith("x-"):
            continue
        if key in NAMED:
            kept[key] = {name: placed(schema, schemas, above) for name, schema in value.items()}
        else:
            kept[key] = placed(value, schemas, above)
    return kept


def _or_null(schema: Schema, nullable: bool) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]} if nullable else schema


def mend(schemas: Schema) -> None:
    """The known faults (see above)."""
    choice = schemas["chat_response"]["properties"]["choices"]["items"]
    choice["required"].remove("logprobs")
    for name in ("chat_response", "chat_chunk"):
        schemas[name]["properties"]["system_fingerprint"] = {"type": ["string", "null"]}


def main(source: str, target: str) -> None:
    """Read one file, write the other."""
    specification = yaml.load(
        Path(source).read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    )
    text = json.dumps(extract(specification), indent=1, sort_keys=True)
    Path(target).write_text(text + "\n")


if __name__ == "__main__":
    given = sys.argv[1:]
    main(given[0], given[1] if len(given) > 1 else str(Path(__file__).parent / "openai" / "schemas.json"))
