"""Requirement 19: no input makes a pattern of ours slow; no caller brings a pattern or fetches a schema."""

from __future__ import annotations

import ast
import re
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Api
from tests.world import Cast

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("megahub", "ai_providers", "ai_usage", "ai_core", "ai_openai", "ai_guard")
SIZE = 50_000
#: One of each kind of text that makes a backtracking pattern try again and again.
EVIL = [
    "a",
    " ",
    "\n",
    "\n ",
    "0",
    "-",
    "a.",
    "eyJ",
    "=",
    "@",
    "a@",
    "sk-",
    "+",
    "1 ",
    "F",
    "://:",
    "mh_a",
    "bearer ",
]


def patterns() -> list[tuple[str, str]]:
    """Every pattern that stands in the code as a text: (where, pattern)."""
    found = []
    for path in (path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not ast.unparse(node.func).startswith("re."):
                continue
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str | bytes):
                text = first.value.decode() if isinstance(first.value, bytes) else first.value
                found.append((f"{path.relative_to(ROOT)}:{node.lineno}", text))
    return found


def _try(pattern: str, queue: Any) -> None:
    compiled = re.compile(pattern)
    for part in EVIL:
        text = part * (SIZE // len(part)) + "!"
        compiled.search(text)
        compiled.fullmatch(text)
    queue.put("done")


def test_no_pattern_of_ours_hangs() -> None:
    """Fifty thousand characters each; one that backtracks would take hours, so a deadline finds it."""
    context = get_context("fork")
    found = patterns()
    assert len(found) > 5
    slow = []
    for where, pattern in found:
        queue: Any = context.SimpleQueue()
        process = context.Process(target=_try, args=(pattern, queue))
        process.start()
        process.join(timeout=20)
        if process.is_alive():
            slow.append((where, pattern))
            process.kill()
            process.join()
    assert slow == []


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "http://169.254.169.254/latest/meta-data/"},
        {"$ref": "file:///etc/passwd"},
        {"type": "object", "properties": {"a": {"pattern": "(a+)+$"}}},
    ],
)
def test_a_schema_is_passed_on_not_followed(api: Api, cast: Cast, schema: dict[str, Any]) -> None:
    body = {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": "a" * SIZE}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}},
    }

    response = api.as_(cast.alice).post("/v1/chat/completions", body)

    assert response.status_code == 200  # a test that tried to reach a network would fail (conftest)


@pytest.mark.parametrize("text", ["(a+)+$", "%" * 2000, "a" * SIZE, "[", "\\"])
def test_a_search_is_no_pattern(api: Api, cast: Cast, text: str) -> None:
    response = api.as_(cast.alice).get("/ai/jobs/", params={"search": text})

    assert response.status_code in (200, 400, 414)
