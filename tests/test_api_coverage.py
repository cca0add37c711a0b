"""``docs/api-coverage.md`` is true: everything the hub answers has a row, every row's test exists."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import django_filters
import pytest
from drf_spectacular.generators import SchemaGenerator

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "api-coverage.md"
ROW = re.compile(r"^\| (?P<what>.+?) \| (?P<test>open|`tests/[^`]+`) \|$")


@cache
def rows() -> dict[str, str]:
    """What each row is about (without backticks) and the test it names, or ``open``."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    found = {}
    for line in lines:
        if line == "| what | test |":
            continue
        match = ROW.match(line)
        assert match is not None, f"no row: {line}"
        what = match["what"].replace("`", "")
        assert what not in found, f"twice: {what}"
        found[what] = match["test"].strip("`")
    return found


@cache
def answered() -> frozenset[str]:
    """Every operation, query parameter and ordering of the OpenAPI document."""
    schema = SchemaGenerator().get_schema(request=None, public=True)
    return frozenset(
        what
        for path, operations in schema["paths"].items()
        for method, operation in operations.items()
        for what in parts(f"{method.upper()} {path}", operation)
    )


def parts(name: str, operation: dict[str, Any]) -> Iterator[str]:
    yield name
    for parameter in operation.get("parameters", ()):
        if parameter["in"] != "query":
            continue
        if parameter["name"] != "ordering":
            yield f"{name}?{parameter['name']}"
            continue
        names = parameter["description"].split(": ", 1)[1].rstrip(".")
        yield from (f"{name}?ordering={field}" for field in names.split(", ") if field)


def same(what: str) -> str:
    """Variable parts of a path have no name of their own."""
    return re.sub(r"\{\w+\}", "{}", what)


def test_everything_that_is_answered_has_a_row() -> None:
    known = {same(what) for what in rows()}
    assert sorted(what for what in answered() if same(what) not in known) == []


def test_nothing_is_open_that_is_answered() -> None:
    there = {same(what) for what in answered()}
    assert [what for what, test in rows().items() if test == "open" and same(what) in there] == []


def test_what_is_covered_is_answered() -> None:
    there = {same(what) for what in answered()}
    operations = re.compile(r"^(GET|POST|PUT|PATCH|DELETE) /\S+$")
    covered = [what for what, test in rows().items() if operations.match(what) and test != "open"]
    assert [what for what in covered if same(what) not in there] == []


def test_every_declared_filter_has_a_row() -> None:
    named = {what.partition("?")[2] for what in rows()}
    sets = [kind for kind in every(django_filters.FilterSet) if not kind.__module__.startswith("django_")]
    assert len(sets) >= 2
    missing = [
        f"{kind.__name__}.{name}" for kind in sets for name in kind.base_filters if name not in named
    ]
    assert missing == []


def every(kind: type) -> Iterator[type[Any]]:
    for below in kind.__subclasses__():
        yield below
        yield from every(below)


@pytest.mark.parametrize("test", sorted(set(rows().values()) - {"open"}))
def test_the_named_test_exists(test: str) -> None:
    path, *names = test.split("::")
    scope: list[ast.stmt] = ast.parse((ROOT / path).read_text()).body
    for name in names:
        inside = [node for node in scope if getattr(node, "name", None) == name]
        assert inside, f"{name} is not in {path}"
        scope = getattr(inside[0], "body", [])


def test_a_lie_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The checks above see a row that is gone, and a test that is."""
    fewer = {what: test for what, test in rows().items() if what != "GET /ai/jobs/?search"}
    monkeypatch.setattr(f"{__name__}.rows", lambda: fewer)

    with pytest.raises(AssertionError, match="search"):
        test_everything_that_is_answered_has_a_row()
    with pytest.raises(AssertionError):
        test_the_named_test_exists("tests/test_house.py::test_nothing_of_the_kind")
