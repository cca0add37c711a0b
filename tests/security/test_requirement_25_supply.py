"""Requirement 25: what is installed is what was reviewed, and nothing starts with anybody's defaults.

Keys that are missing, weak or shared: tests/test_production.py; settings and roles:
tests/tenancy/test_deployment.py; what was committed: tests/launcher/test_leaks.py. Regression: the
versions of LiteLLM that were published by a thief (2026-03), who had the keys of its pipeline.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import metadata

import pytest
from django.apps import apps

from tools.report import ROOT

LOCKS = ["requirements.lock", "requirements-dev.lock"]
SHA256 = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def locked(name: str) -> Iterator[tuple[str, str]]:
    """(requirement, its hashes) of a lock."""
    text = (ROOT / name).read_text().replace("\\\n", " ")
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            requirement, _, hashes = line.partition("--hash")
            yield requirement.strip(), "--hash" + hashes


@pytest.mark.parametrize("name", LOCKS)
def test_every_line_of_a_lock_is_one_version_with_its_hashes(name: str) -> None:
    found = list(locked(name))

    assert len(found) > 40
    for requirement, hashes in found:
        assert re.match(r"[a-z0-9][a-z0-9.-]*==[\w.+!]+( ; .+)?$", requirement), requirement
        assert SHA256.search(hashes), requirement


@pytest.mark.parametrize(
    "name", [*LOCKS, "pyproject.toml", "Dockerfile", "hub", "tools/boot.py", ".ci/run"]
)
def test_packages_come_from_one_place(name: str) -> None:
    """No second index, from which a package of the same name could come; no address, no repository."""
    text = (ROOT / name).read_text()

    assert not re.search(
        r"(?m)--(extra-)?index-url|--find-links|--trusted-host|git\+|^-e |@ (https?|file):", text
    )


def test_what_is_installed_is_what_is_locked() -> None:
    pinned = {
        requirement.partition("==")[0]: requirement.partition("==")[2].partition(" ")[0]
        for requirement, _ in locked("requirements.lock")
        if ";" not in requirement
    }

    assert {name: metadata.version(name) for name in pinned} == pinned


def test_the_image_installs_by_hash_and_runs_as_nobody() -> None:
    text = (ROOT / "Dockerfile").read_text()

    assert "--require-hashes --no-deps" in text
    assert re.search(r"(?m)^USER hub$", text)
    assert not re.search(r"(?m)^(ADD |RUN .*(curl|wget))", text)


def test_ci_holds_no_keys() -> None:
    text = (ROOT / ".ci" / "run").read_text()

    assert not re.search(r"(?i)token|secret|password|_key\b|curl|wget", text)


def test_fixed_versions_are_what_is_installed() -> None:
    """The first versions without what is published about them."""
    fixed = {
        "django": (5, 2, 13),
        "djangorestframework": (3, 18, 2),
        "djangorestframework-simplejwt": (5, 5, 1),
        "pyjwt": (2, 13),
    }
    for name, least in fixed.items():
        version = tuple(int(part) for part in metadata.version(name).split(".")[:3])
        assert version >= least, name


def test_nothing_for_development_is_installed_in_it() -> None:
    named = {config.name for config in apps.get_app_configs()}

    assert not {
        name for name in named if "debug" in name or name.startswith(("sandbox", "django_extensions"))
    }
