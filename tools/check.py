"""``./hub check``: everything that can be said about the code without running it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time

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


def run() -> int:
    """Run them all, a line for each; 1 when one of them failed."""
    failed = 0
    with tempfile.TemporaryDirectory(prefix="megahub-check-") as folder:
        env = {
            **os.environ,
            **keys.fresh(),
            "DJANGO_SETTINGS_MODULE": "megahub.settings.prod",
            "DATABASE_URL": f"sqlite:///{folder}/check.sqlite3",
            "HUB_VAR": folder,
        }
        for name, command in CHECKS.items():
            began = time.monotonic()
            done = subprocess.run(
                [sys.executable, *command],
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
            print(f"{name:15} {verdict:6} {time.monotonic() - began:5.1f} s", flush=True)
            if done.returncode:
                failed = 1
                print(done.stdout, flush=True)
    return failed
