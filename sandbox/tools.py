"""Function tools: when the sandbox calls one, and with what."""

from dataclasses import dataclass
from typing import Any

from sandbox import errors, fields, prose, schemas, tokens
from sandbox.prompts import Body


@dataclass(frozen=True, slots=True)
class ToolCall:
    id: str
    name: str
    arguments: str  # JSON, as OpenAI sends it

    @property
    def tokens(self) -> int:
        return tokens.count(self.name) + tokens.count(self.arguments)

    def render(self) -> Body:
        function = {"name": self.name, "arguments": self.arguments}
        return {"id": self.id, "type": "function", "function": function}


def chosen(body: Body, asked: str) -> Body | None:
    """The function to call: the one that tool_choice names, or the first one if a call is due.

    Raises ApiError when the tools are not well formed or the named function is not among them.
    """
    functions = _functions(body.get("tools") or [])
    choice = body.get("tool_choice")
    if isinstance(choice, dict):
        return _named(functions, choice)
    if not functions or choice == "none":
        return None
    # A conversation that already holds the tool's result is answered in words, or it never ends.
    answered = body["messages"][-1].get("role") == "tool"
    return functions[0] if choice == "required" or ("[tool]" in asked and not answered) else None


def call(function: Body, seed: bytes, index: int) -> ToolCall:
    number = prose.number(seed) + index
    schema = function.get("parameters") or {"type": "object"}
    call_id = prose.digest(seed.hex(), index).hex()
    arguments = schemas.example_json(schema, number, "tools")
    return ToolCall(f"call_{call_id}", function["name"], arguments)


def _functions(tools: list[Any]) -> list[Body]:
    functions = []
    for index, tool in enumerate(tools):
        fields.OBJECT.check(f"tools[{index}]", tool)
        if tool.get("type") != "function":
            continue
        if not isinstance(tool.get("function"), dict):
            raise errors.missing(f"tools[{index}].function")
        if not isinstance(tool["function"].get("name"), str):
            raise errors.missing(f"tools[{index}].function.name")
        functions.append(tool["function"])
    return functions


def _named(functions: list[Body], choice: Body) -> Body:
    function = choice.get("function")
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(name, str):
        raise errors.missing("tool_choice.function.name")
    for candidate in functions:
        if candidate["name"] == name:
            return candidate
    raise errors.ApiError(400, f"Tool choice '{name}' not found in 'tools' parameter.", param="tool_choice")
