"""``./hub check``: everything that can be said about the code without running it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

from tools import keys
from tools.report import ROOT

OURS = ("megahub", "ai_providers", "ai_guard", "ai_usage", "ai_core", "ai_openai", "ai_batch")
TYPED = (*OURS, "sandbox", "tools")
LINT_IMPORTS = "from importlinter.cli import lint_imports_command; lint_imports_command()"
#: What each check gives to Python. (No console scripts: their first line breaks with long paths.)
CHECKS = {
    "ruff format": ("-m", "ruff", "format", "--check", "."),
    "ruff": ("-m", "ruff", "check", "."),
    "mypy": ("-m", "mypy", *TYPED),
    "import-linter": ("-c", LINT_IMPORTS),
    "migrations": ("-m", "django", "makemigrations", "--check", "--dry-run"),
    "bandit": ("-m", "bandit", "--quiet", "--recursive", "--configfile", "pyproject.toml", *OURS),
    "secrets": ("-m", "tools.leaks"),
    "advisories": ("-m", "tools.advisories"),
    "deployment": ("-m", "django", "check", "--deploy", "--fail-level", "WARNING"),
}
#: How a check says that it could not be made here.
SKIPPED = "Skipped: "


#: What takes longest, and is begun first.
FIRST = "mypy"


def run() -> int:
    """Run them all, as many at once as there are processors, a line for each; 1 when one of them failed."""
    failed = 0
    with (
        tempfile.TemporaryDirectory(prefix="megahub-check-") as folder,
        ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        env = {
            **os.environ,
            **keys.fresh(),
            "DJANGO_SETTINGS_MODULE": "megahub.settings.prod",
            "DATABASE_URL": f"sqlite:///{folder}/check.sqlite3",
            "HUB_VAR": folder,
        }
        begun = {
            name: pool.submit(check, name, env) for name in sorted(CHECKS, key=lambda name: name != FIRST)
        }
        for name in CHECKS:
            line, told = begun[name].result()
            print(line, flush=True)
            if told:
                failed = 1
                print(told, flush=True)
    return failed


def check(name: str, env: dict[str, str]) -> tuple[str, str]:
    """Its line, and what it said if it failed."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, *CHECKS[name]],
        cwd=ROOT,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    verdict = "FAILED" if done.returncode else "ok"
    if done.stdout.startswith(SKIPPED):
        verdict = done.stdout.strip()
    line = f"{name:15} {verdict:6} {time.monotonic() - began:5.1f} s"
    return line, done.stdout or "It said nothing." if done.returncode else ""
