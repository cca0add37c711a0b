"""Requirement 24: nothing that a tenant sends is evaluated, unpickled, rendered or run.

Regression: CVE-2026-40217, -42203 (templates), -42271 (commands), CVE-2024-5751, -4264 (eval).
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings

from megahub.kernel.errors import HubError, ValidationFailed, restore
from tests.conftest import Api
from tests.stubs import Scripted, completion
from tests.world import Cast

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("megahub", "ai_providers", "ai_usage", "ai_core", "ai_openai", "ai_guard")
FORBIDDEN = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "os.system",
    "os.popen",
    "pickle.loads",
    "pickle.load",
    "marshal.loads",
    "yaml.load",
    "subprocess.run",
    "subprocess.Popen",
    "shelve.open",
    "mark_safe",
}
TEMPLATES = [
    "{{7*7}}",
    "${7*7}",
    "{0.__class__}",
    "{model.__class__.__mro__}",
    "%(x)s",
    "{% debug %}",
    "#{7*7}",
    "__import__('os').system('id')",
    "command:calc",
    "<script>alert(1)</script>",
]


def test_the_code_calls_none_of_these() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno} {ast.unparse(node.func)}"
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in FORBIDDEN
    ]
    assert found == []


@pytest.mark.parametrize("text", TEMPLATES)
def test_a_text_stays_a_text(api: Api, cast: Cast, provider: Callable[..., Scripted], text: str) -> None:
    scripted = provider(completion(text))
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}], "user": text}

    answer = api.as_(cast.alice).post("/v1/chat/completions", body).json()

    assert answer["choices"][0]["message"]["content"] == text
    assert scripted.calls[0][0].params["messages"][0]["content"] in (text, [{"type": "text", "text": text}])


@pytest.mark.parametrize("text", TEMPLATES)
@pytest.mark.parametrize(
    "field", ["model", "tool_choice", "reasoning_effort", "stop", "description", "priority"]
)
def test_an_error_quotes_it_and_no_more(api: Api, cast: Cast, field: str, text: str) -> None:
    body: dict[str, Any] = {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": "Hi"}],
        field: text,
    }

    response = api.as_(cast.alice).post("/ai/openai/chat/", body)

    assert response.status_code in (200, 400, 404)
    assert "49" not in response.text.replace(text, "") or response.status_code == 200
    assert "<class" not in response.text
    assert response.headers["content-type"].startswith("application/json")


def test_an_errors_template_is_never_the_callers() -> None:
    error: HubError = ValidationFailed("{x}", words={"x": "{y.__class__}"})
    assert str(error) == "{y.__class__}"
    assert str(restore(error.as_data())) == "{y.__class__}"


def test_tasks_are_json_alone() -> None:
    assert django_settings.CELERY_ACCEPT_CONTENT == ["json"]


def test_testing_a_connection_needs_what_saving_it_needs(api: Api, cast: Cast) -> None:
    body = {"provider": "openai", "openai_api_key": "sk-proj-0123456789012345"}

    assert api.as_(cast.bob).post("/ai/credentials/test_connection/", body).status_code == 403
    assert api.as_(cast.bob).post("/ai/credentials/", {"openai_api_key": "x"}).status_code == 403
