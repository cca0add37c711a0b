"""The documents name every variable that is read, and docker-compose.yml passes no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.apps import apps

from tools.keys import MAKERS
from tools.report import ROOT
from tools.services import PROVIDER_KEYS

#: The typed readers of megahub/settings/env.py.
READERS = {"text", "integer", "number", "flag", "words"}
#: Said by the launcher (or pytest-xdist) to its own processes, for nobody else to set.
BETWEEN_PROCESSES = {"HUB_STARTED_AT", "HUB_RUN_ID", "PYTEST_XDIST_WORKER"}
#: What other programs of docker-compose.yml read: uvicorn, the PostgreSQL image and the script that
#: makes the hub's roles.
OF_OTHERS = {"FORWARDED_ALLOW_IPS", "POSTGRES_PASSWORD", "HUB_DB_PASSWORD", "HUB_DB_APP_PASSWORD"}
VARIABLE = re.compile(r"`([A-Z][A-Z0-9_]+)`")


def calls(folder: str) -> Iterator[tuple[str, ast.Call | ast.Subscript]]:
    """Every call and subscript of a folder's modules, with what is called or subscripted."""
    for file in (ROOT / folder).glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call):
                yield ast.unparse(node.func), node
            elif isinstance(node, ast.Subscript):
                yield ast.unparse(node.value), node


def first(node: ast.Call | ast.Subscript) -> str | None:
    """The literal that a call or subscript begins with."""
    value = node.slice if isinstance(node, ast.Subscript) else next(iter(node.args), None)
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else None


def of_the_settings() -> set[str]:
    read = {
        first(node) for name, node in calls("megahub/settings") if name in {f"env.{r}" for r in READERS}
    }
    return {name for name in read if name}


def of_the_tools() -> set[str]:
    """Those named where they are read, and those read by a table."""
    ways = {"os.environ", "os.environ.get", "os.environ.setdefault", "os.getenv"}
    read = {first(node) for name, node in calls("tools") if name in ways}
    return {name for name in read if name} | set(MAKERS) | set(PROVIDER_KEYS)


def of_the_script() -> set[str]:
    """``./hub`` itself."""
    return set(re.findall(r"\$\{?(HUB_[A-Z_]+)", (ROOT / "hub").read_text()))


def told(*names: str) -> set[str]:
    """The variables in the tables of documents, each between backticks."""
    found: set[str] = set()
    for name in names:
        lines = (ROOT / name).read_text().splitlines()
        found |= {word for line in lines if line.startswith("|") for word in VARIABLE.findall(line)}
    return found


def test_the_readers_are_found() -> None:
    assert {"DATABASE_URL", "HUB_SECRET_KEY", "HUB_MAX_BODY_BYTES", "HUB_TLS_REDIRECT"} <= of_the_settings()
    assert {"HUB_VENV", "HUB_DEMO_PASSWORD", "REDIS_URL", "OPENAI_API_KEY"} <= of_the_tools()
    assert "HUB_PYTHON" in of_the_script()


def test_every_variable_of_the_settings_is_told() -> None:
    assert of_the_settings() - BETWEEN_PROCESSES - told("README.md", "docs/launching.md") == set()


def test_every_variable_of_the_launcher_is_told() -> None:
    read = of_the_tools() | of_the_script()
    words = set(VARIABLE.findall((ROOT / "docs" / "launching.md").read_text()))  # some stand in a sentence

    assert read - BETWEEN_PROCESSES - words - told("README.md") == set()


def test_no_variable_is_told_that_nobody_reads() -> None:
    known = of_the_settings() | of_the_tools() | of_the_script() | OF_OTHERS
    ours = {name for name in told("README.md", "docs/launching.md") if name.startswith(("HUB_", "AI_"))}

    assert ours - known - given_to_compose() == set()


class TestCompose:
    @pytest.fixture
    def services(self) -> dict[str, Any]:
        found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
        return found

    def test_what_it_passes_is_read(self, services: dict[str, Any]) -> None:
        passed = {name for service in services.values() for name in service.get("environment", {})}

        assert "HUB_SECRET_KEY" in passed
        assert passed - of_the_settings() - OF_OTHERS == set()

    def test_web_and_workers_are_given_the_same(self, services: dict[str, Any]) -> None:
        ours = {
            name: s["environment"]
            for name, s in services.items()
            if s.get("image", "").startswith("megahub")
        }
        alike = {name: env for name, env in ours.items() if name not in ("web", "migrate", "beat")}

        assert set(ours) == {"migrate", "web", "worker-fast", "worker", "beat"}
        no_way = {"DATABASE_URL": "", "OPENAI_API_KEY": "", "INFOMANIAK_API_KEY": ""}
        assert ours["beat"] == {**ours["worker"], **no_way}  # it only rings for what workers do
        assert len({str(env) for env in alike.values()}) == 1
        assert {**ours["web"], "FORWARDED_ALLOW_IPS": ""} == {**ours["worker"], "FORWARDED_ALLOW_IPS": ""}
        # The owner makes the tables, and nobody else signs in as it.
        assert ours["migrate"].pop("DATABASE_URL").startswith("postgres://hub:$")
        assert ours["worker"].pop("DATABASE_URL").startswith("postgres://hub_app:$")
        assert ours["migrate"] == ours["worker"]

    def test_no_secret_has_a_default(self, services: dict[str, Any]) -> None:
        text = (ROOT / "docker-compose.yml").read_text()
        secrets = re.findall(r"\$\{(\w*(?:SECRET_KEY|JWT_KEY|ENCRYPTION_KEY|PASSWORD))(\W.)", text)

        of_roles = {"HUB_DB_PASSWORD", "HUB_DB_APP_PASSWORD", "HUB_DB_ADMIN_PASSWORD"}
        assert {name for name, _ in secrets} == {*MAKERS, *of_roles}
        assert {then for _, then in secrets} == {":?"}


def given_to_compose() -> set[str]:
    """The names that docker-compose.yml takes from .env."""
    return set(re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yml").read_text()))


def test_the_image_holds_what_runs() -> None:
    """Every package that the hub imports is copied into it; the sandbox and the tools are not."""
    copied = set(re.findall(r"^COPY (\w+) \1$", Path(ROOT / "Dockerfile").read_text(), re.MULTILINE))

    ours = {app.name.partition(".")[0] for app in apps.get_app_configs() if (ROOT / app.name).is_dir()}
    assert copied == {"megahub", *ours}
