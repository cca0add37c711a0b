"""The structured parts of a request: chat messages, tools, embeddings input."""

from __future__ import annotations

from typing import Any

from ai_providers.domain.spec import ModelSpec
from ai_providers.domain.wire import TOOL_CALL_TEXTS
from megahub.kernel.text import Text

#: Keys a message may carry, the ones that answers bring back included.
MESSAGE_KEYS = frozenset(
    "role content name tool_calls tool_call_id refusal audio function_call annotations"
    " reasoning_content reasoning".split()
)
#: What a message of each role may hold besides texts (OpenAI's specification).
PART_TYPES = {
    "user": ("text", "image_url", "input_audio", "file"),
    "assistant": ("text", "refusal"),
}
#: What a part of each type holds under its type's name.
PART_HOLDS: dict[str, type] = {
    "text": str,
    "refusal": str,
    "image_url": dict,
    "input_audio": dict,
    "file": dict,
}
#: What a message of a role must name, beside its content.
NEEDED = {"tool": "tool_call_id", "function": "name"}
MAX_MESSAGES = 10_000
MAX_INPUTS = 2048
MAX_TOOLS = 128
#: Tools of OpenAI's Assistants API, which it shut down on 2026-08-26 (provider-facts.md, section 0).
ASSISTANT_TOOLS = frozenset(("file_search", "code_interpreter", "retrieval"))
ASSISTANTS_ARE_GONE = (
    "{tool} belonged to the Assistants API, which was shut down on 2026-08-26; use a function."
)
EMBEDDINGS_INPUT = "Expected a text, a list of texts, a list of token ids, or a list of such lists."

Problems = dict[str, list[Text]]


def problems(spec: ModelSpec, messages: list[Any]) -> Problems:
    """What is wrong with chat messages, by path (``messages[0].role``)."""
    if not messages:
        return {"messages": [Text("At least one message is needed.")]}
    if len(messages) > MAX_MESSAGES:
        return {"messages": [Text("At most {limit} messages.", limit=MAX_MESSAGES)]}
    found: Problems = {}
    for number, message in enumerate(messages):
        if not _is_plain(spec, message):
            found |= _message(spec, message, f"messages[{number}]")
    return found


def _is_plain(spec: ModelSpec, message: Any) -> bool:
    """Whether it is what most are, and right: a role that needs nothing more, and a text."""
    if not isinstance(message, dict) or len(message) != 2 or not isinstance(message.get("content"), str):
        return False
    role = message.get("role")
    return isinstance(role, str) and role in spec.roles and role not in NEEDED


def _message(spec: ModelSpec, message: Any, path: str) -> Problems:
    if not isinstance(message, dict):
        return {path: [Text("Expected {types}.", types="object")]}
    unknown = sorted(set(message) - MESSAGE_KEYS)
    if unknown:
        return {f"{path}.{unknown[0]}": [Text("Unknown field.")]}
    role = message.get("role")
    if not isinstance(role, str) or role not in spec.roles:
        return {f"{path}.role": [Text("Must be one of {choices}.", choices=list(spec.roles))]}
    for key in ("name", "tool_call_id", "refusal"):
        if not isinstance(message.get(key), str | None):
            return {f"{path}.{key}": [Text("Expected {types}.", types="string")]}
    if role in NEEDED and not message.get(NEEDED[role]):
        return {f"{path}.{NEEDED[role]}": [Text("This field is required.")]}
    return _content(spec, role, message, f"{path}.content") or _tool_calls(
        message.get("tool_calls"), f"{path}.tool_calls"
    )


def _content(spec: ModelSpec, role: str, message: dict[str, Any], path: str) -> Problems:
    content = message.get("content")
    if isinstance(content, str):
        return {}
    if content is None:
        calls = message.get("tool_calls") or message.get("function_call") or message.get("refusal")
        return {} if role == "assistant" and calls else {path: [Text("This field is required.")]}
    if role == "function":
        return {path: [Text("Expected {types}.", types="string")]}
    if not isinstance(content, list) or not content:
        return {path: [Text("Expected {types}.", types="string | array of parts")]}
    for number, part in enumerate(content):
        text = _part(spec, PART_TYPES.get(role, ("text",)), part)
        if text is not None:
            return {f"{path}[{number}]": [text]}
    return {}


def _part(spec: ModelSpec, known: tuple[str, ...], part: Any) -> Text | None:
    kind = part.get("type") if isinstance(part, dict) else None
    if not isinstance(kind, str) or kind not in known:
        return Text("Expected an object whose type is one of {choices}.", choices=list(known))
    if kind != "text" and spec.content == "string":
        return Text("Model {model} takes text only.", model=spec.id)
    held = part.get(kind)
    if kind == "text" and not isinstance(held, str):
        return Text("A text part needs a text.")
    if kind == "image_url" and not (isinstance(held, dict) and isinstance(held.get("url"), str)):
        return Text("An image_url part needs an object image_url.")
    if not isinstance(held, PART_HOLDS[kind]):
        return Text("Expected {types}.", types=f"object with {kind}")
    if kind in ("file", "input_audio") and not _all_texts(held):
        return Text("The fields of {kind} are texts.", kind=kind)
    return None


def _all_texts(fields: Any) -> bool:
    return all(isinstance(value, str) for value in fields.values())


def _tool_calls(calls: Any, path: str) -> Problems:
    """Calls that an answer brought, told back: ``{id, type, function: {name, arguments}}``."""
    if calls is None:
        return {}
    if not isinstance(calls, list):
        return {path: [Text("Expected {types}.", types="array")]}
    for number, call in enumerate(calls):
        kind = call.get("type") if isinstance(call, dict) else None
        if not isinstance(kind, str) or kind not in TOOL_CALL_TEXTS:
            choices = list(TOOL_CALL_TEXTS)
            return {f"{path}[{number}].type": [Text("Must be one of {choices}.", choices=choices)]}
        told = call.get(kind) if isinstance(call.get(kind), dict) else {}
        texts = {
            "id": call.get("id"),
            **{f"{kind}.{key}": told.get(key) for key in ("name", TOOL_CALL_TEXTS[kind])},
        }
        for key, value in texts.items():
            if not isinstance(value, str):
                return {f"{path}[{number}].{key}": [Text("Expected {types}.", types="string")]}
    return {}


def clean(spec: ModelSpec, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages as the model takes them: roles renamed, content as parts or as a string."""
    return [_cleaned(spec, message) for message in messages]


def _cleaned(spec: ModelSpec, message: dict[str, Any]) -> dict[str, Any]:
    content = message.get("content")
    # The results of functions of old (role function) are texts for every model.
    if spec.content == "parts" and isinstance(content, str) and message["role"] != "function":
        content = [{"type": "text", "text": content}]
    elif spec.content == "string" and isinstance(content, list):
        content = "\n".join(part["text"] for part in content)
    told = {key: value for key, value in message.items() if value is not None}
    return {**told, "role": spec.roles[message["role"]], "content": content}


def tool_problems(spec: ModelSpec, tools: list[Any]) -> Problems:
    """What is wrong with ``tools``: functions and custom tools are taken, Assistants' are not."""
    if len(tools) > MAX_TOOLS:
        return {"tools": [Text("At most {limit} tools.", limit=MAX_TOOLS)]}
    for number, tool in enumerate(tools):
        kind = tool.get("type") if isinstance(tool, dict) else None
        path = f"tools[{number}]"
        if isinstance(kind, str) and kind in ASSISTANT_TOOLS:
            return {f"{path}.type": [Text(ASSISTANTS_ARE_GONE, tool=kind)]}
        if not isinstance(tool, dict) or kind not in ("function", "custom"):
            return {f"{path}.type": [Text("Must be one of {choices}.", choices=["function", "custom"])]}
        named = tool.get(kind)
        if not isinstance(named, dict) or not isinstance(named.get("name"), str):
            return {f"{path}.{kind}.name": [Text("This field is required.")]}
    return {}


def input_problems(spec: ModelSpec, value: Any) -> Problems:
    """What is wrong with an embeddings ``input``: a text, texts, token ids, lists of token ids."""
    if isinstance(value, str):
        return {} if value else {"input": [Text("This field may not be empty.")]}
    if not value:
        return {"input": [Text("This field may not be empty.")]}
    if all(isinstance(item, str) and item for item in value):
        return _too_many(len(value))
    if all(_is_token(item) for item in value):
        return {}
    if all(isinstance(item, list) and item and all(map(_is_token, item)) for item in value):
        return _too_many(len(value))
    return {"input": [Text(EMBEDDINGS_INPUT)]}


def _too_many(count: int) -> Problems:
    return {"input": [Text("At most {limit} inputs.", limit=MAX_INPUTS)]} if count > MAX_INPUTS else {}


def _is_token(item: Any) -> bool:
    return isinstance(item, int) and not isinstance(item, bool) and item >= 0
