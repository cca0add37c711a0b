"""One trouble at a time, in short: real processes, and each promise against its figure."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.processes import clean_env
from tools.report import ROOT

pytestmark = [pytest.mark.slow_launcher, pytest.mark.slow]


@pytest.fixture(autouse=True, scope="session")
def database() -> None:
    """It has one of its own."""


@pytest.fixture
def folder() -> Iterator[Path]:
    with TemporaryDirectory() as short:  # a socket's path is short; pytest's folders are not
        yield Path(short)


@pytest.mark.timeout(400)
def test_stopped_workers_a_broker_and_a_provider_that_are_down(folder: Path) -> None:
    command = [sys.executable, "-m", "tools.stack", "chaos", "--scenario", "all", "--jobs", "40"]
    done = subprocess.run(
        command, cwd=ROOT, env=clean_env(HUB_VAR=str(folder)), capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    said = dict(re.findall(r"^\| \**(.+?)\** \| \**(.+?)\** \|$", done.stdout, re.MULTILINE))
    assert said["stops for longer than a lease"] == "3"
    assert said["late costs recorded"] == said["calls under way"]
    assert said["of these jobs not completed after (at most 0)"] == "0"
    assert {said[rule] for rule in ("lost", "stuck", "settled twice or never", "webhooks missing")} == {"0"}
