"""The house rules that no other tool checks."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps
from django.core.management import call_command
from django.urls import get_resolver

from megahub.tenancy.replaying import ITS_OWN, Idempotent
from megahub.tenancy.scoping import CompanyOwned, ScopeRequired
from tests import patterns, routes
from tests.world import Cast

ROOT = Path(__file__).resolve().parent.parent
HUB = ("megahub", "ai_providers", "ai_guard", "ai_usage", "ai_core", "ai_openai", "ai_batch")
PACKAGES = (*HUB, "sandbox", "tools", "benchmarks")
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "managers", "misc"}
MAX_FUNCTION_LINES = 60
#: POSTs that take no Idempotency-Key, beside those whose views say so (``Idempotent.without``).
NO_KEY = {
    "/auth/token/": "nobody is known yet; each sign-in is its own",
    "/auth/token/refresh/": "a refresh token is good once, by itself",
    "/auth/invitations/accept/": "an invitation is good once, by itself",
    "/auth/token/verify/": "only looks",
    "/auth/token/revoke/": "revoked twice is revoked",
    "/auth/totp/": "nothing is kept of it",
    "/auth/totp/confirm/": "a code is good once, by itself",
    "/auth/totp/recovery-codes/": "a code is good once, by itself",
    "/auth/totp/remove/": "a code is good once, by itself",
}
#: Batches' own, on the hot lane, that take none; the others are in tests/ai_batch/test_once.py.
BATCHES = {
    "/v1/batches/{batch_id}/cancel": "one that has ended stays as it was",
    "/api/batch/validate": "only looks",
    "/api/batch/{batch_id}/cancel": "one that has ended stays as it was",
}
#: POSTs that claim their key where their job is accepted (tests/ai_core/test_idempotency.py and batches').
KEY_OF_ITS_OWN = {
    "/ai/jobs/",
    "/ai/openai/jobs/",
    "/ai/openai/chat/",
    "/v1/chat/completions",
    "/v1/embeddings",
    "/ai/batch-analysis/",
    "/v1/files",
    "/v1/batches",
    "/api/batch/create",
    "/api/batch/schedules",
    "/api/batch/upload",
    "/api/batch/{batch_id}/retry_failed",
}
MAX_FILE_LINES = 400


def sources() -> list[Path]:
    found = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    return [path for path in found if "migrations" not in path.parts]


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_files_are_short() -> None:
    long = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in sources()}
    assert {name: lines for name, lines in long.items() if lines > MAX_FILE_LINES} == {}


def test_functions_are_short() -> None:
    long = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in sources()
        for node in functions(ast.parse(path.read_text()))
        if (node.end_lineno or 0) - node.lineno >= MAX_FUNCTION_LINES
    ]
    assert long == []


def test_no_import_inside_a_function_or_behind_type_checking() -> None:
    found = []
    for path in sources():
        text = path.read_text()
        found += [str(path.relative_to(ROOT))] if "TYPE_CHECKING" in text else []
        for node in functions(ast.parse(text)):
            inside = [n for n in ast.walk(node) if isinstance(n, ast.Import | ast.ImportFrom)]
            found += [f"{path.relative_to(ROOT)}:{n.lineno}" for n in inside]
    assert found == []


def test_modules_are_nouns_of_the_trade() -> None:
    found = [path for path in sources() if path.stem in FORBIDDEN_NAMES]
    assert found == []


def test_only_the_settings_read_the_environment() -> None:
    """Entry points may choose the settings module; everything else asks the settings."""
    entries = {"asgi.py", "celery.py", "__main__.py"}
    readers = [
        str(path.relative_to(ROOT))
        for path in sources()
        if ("os.environ" in path.read_text() or "getenv" in path.read_text())
        and path.name not in entries
        and not {"settings", "tools", "benchmarks"} & set(path.parts)
    ]
    assert readers == []


def expressions() -> Iterator[tuple[str, str]]:
    """(where, expression): those that stand in calls of ``re``, and those that modules have compiled."""
    for path in sources():
        where = str(path.relative_to(ROOT))
        for node in ast.walk(ast.parse(path.read_text())):
            called = isinstance(node, ast.Call) and ast.unparse(node.func).startswith("re.") and node.args
            if called and isinstance(text := getattr(node.args[0], "value", None), str):
                yield f"{where}:{node.lineno}", text
        if path.name != "__main__.py" and {"domain", "kernel", "adapters", "api", "services"} & set(
            path.parts
        ):
            module = importlib.import_module(where.removesuffix(".py").replace("/", "."))
            for name, value in vars(module).items():
                if isinstance(value, re.Pattern):
                    text = value.pattern
                    yield f"{where} {name}", text.decode() if isinstance(text, bytes) else text


def test_no_repetition_of_any_length_inside_of_another() -> None:
    """What such an expression may cost doubles with each letter (requirement 19)."""
    found = list(expressions())
    assert len(found) > 40
    assert [where for where, text in found if patterns.nests(text)] == []


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("(a+)+$", True),
        ("(a|b*)*", True),
        (r"(?:\s*x?)*", True),
        ("(?:a{1,200}){1,200}", True),
        ("(?:a++)+", False),
        ("[a-z]+@[a-z]+", False),
        (r"(?:\.[a-z]{1,63}){1,8}", False),
    ],
)
def test_which_repetitions_nest(expression: str, wanted: bool) -> None:
    assert patterns.nests(expression) is wanted


def test_unscoped_rows_are_the_hubs_own_business() -> None:
    """A view reads through ``.of(company)``; ``unscoped`` and ``rows`` stand where nobody calls from."""
    doors = [path for path in sources() if "api" in path.parts]
    allowed = {
        "megahub/tenancy/api/views.py",  # one's own memberships, found by one's own user
        "ai_core/api/events.py",  # states of jobs whose streams were authorised one by one
    }
    found = {
        str(path.relative_to(ROOT))
        for path in doors
        if ".unscoped()" in path.read_text() or ".rows." in path.read_text().replace("rows.none", "")
    }
    assert found - allowed == set()


def test_rows_of_companies_are_not_read_without_a_scope(cast: Cast) -> None:
    owned = [model for model in apps.get_models() if issubclass(model, CompanyOwned)]
    assert len(owned) >= 9
    for model in owned:
        with pytest.raises(ScopeRequired):
            model.objects.all()
        with pytest.raises(ScopeRequired):
            model.objects.filter(pk=1)
        assert model.objects.of(cast.company.pk).query is not None


def test_every_model_with_a_company_is_scoped() -> None:
    stray = [
        model.__name__
        for model in apps.get_models()
        if any(field.name == "company" for field in model._meta.get_fields())
        and not issubclass(model, CompanyOwned)
        and model.__module__.split(".")[0] not in ("django", "unfold")
    ]
    assert stray == []


def test_models_and_migrations_agree(database: None) -> None:
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


def test_url_names_are_resources_and_actions() -> None:
    names = {
        pattern.name
        for pattern in get_resolver("megahub.urls").url_patterns
        if getattr(pattern, "name", None)
    }
    assert all(name == name.lower() and "_" not in name for name in names)


def test_every_post_takes_an_idempotency_key_or_says_why_not() -> None:
    """A new one fails here until its view is ``Idempotent`` (megahub/tenancy/replaying.py)."""
    own, without, keyed = set(), set(), set()
    for path, pattern in routes.of_the_api().items():
        if "POST" not in routes.methods_of(pattern):
            continue
        view = pattern.callback
        if not issubclass(getattr(view, "cls", object), Idempotent):
            (own if hasattr(view, "fast_methods") else without).add(path)
            continue
        action = getattr(view, "actions", {}).get("post", "post")
        left = view.cls.without.get(action)
        (own if left == ITS_OWN else keyed).add(path)
        assert left is None or len(left) > 5
    assert own == KEY_OF_ITS_OWN | set(BATCHES)
    assert without == set(NO_KEY)
    assert len(keyed) >= 8
