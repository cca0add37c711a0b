"""``./hub client [--check]``: the TypeScript client, generated from the OpenAPI document and type-checked.

With ``--check`` nothing is written: a client that is not that of the document is a fault. npm installs
exactly what ``package-lock.json`` has (``npm ci``), again only when that file has changed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tools import keys
from tools.report import ROOT, Fault, say

CLIENT = ROOT / "clients" / "typescript"
GENERATED = CLIENT / "src" / "schema.ts"
DOCUMENT = (
    "-m",
    "django",
    "spectacular",
    "--format",
    "openapi-json",
    "--validate",
    "--fail-on-warn",
    "--file",
)

#: A field with a default may be left out of a request.
HOW = ("--alphabetize", "--default-non-nullable", "false")


def run(arguments: list[str]) -> int:
    """0; raises Fault for an outdated client, one that does not type-check, or a machine without npm."""
    if arguments not in ([], ["--check"]):
        raise Fault("usage: ./hub client [--check]")
    npm = shutil.which("npm")
    if npm is None:
        raise Fault("npm is needed (Node.js 20 or newer); install it and try again")
    with tempfile.TemporaryDirectory(prefix="megahub-client-") as folder:
        document, made = Path(folder) / "openapi.json", Path(folder) / "schema.ts"
        _call([sys.executable, *DOCUMENT, str(document)], ROOT, _quiet(folder))
        _install(npm)
        _call(_tool("openapi-typescript", str(document), "--output", str(made), *HOW), CLIENT)
        if not arguments:
            shutil.copyfile(made, GENERATED)
        elif not GENERATED.is_file() or made.read_bytes() != GENERATED.read_bytes():
            raise Fault(
                f"{GENERATED.relative_to(ROOT)} is not that of the API: run ./hub client and commit it"
            )
    _call(_tool("tsc", "--noEmit"), CLIENT)
    say("The TypeScript client is that of the API, and its sample type-checks.")
    return 0


def _tool(name: str, *arguments: str) -> list[str]:
    return [str(CLIENT / "node_modules" / ".bin" / name), *arguments]


def _install(npm: str) -> None:
    """``npm ci``, unless this very lock is installed."""
    stamp = CLIENT / "node_modules" / ".megahub-lock"
    digest = hashlib.sha256((CLIENT / "package-lock.json").read_bytes()).hexdigest()
    if not stamp.is_file() or stamp.read_text() != digest:
        _call([npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"], CLIENT)
        stamp.write_text(digest)


def _quiet(folder: str) -> dict[str, str]:
    """An environment that needs no server: the document is made from the code alone."""
    return {
        **os.environ,
        **keys.fresh(),
        "DJANGO_SETTINGS_MODULE": "megahub.settings.prod",
        "DATABASE_URL": f"sqlite:///{folder}/none.sqlite3",
        "REDIS_URL": "",
        "HUB_VAR": folder,
    }


def _call(command: list[str], where: Path, env: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        command, cwd=where, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Fault(f"{Path(command[0]).name} {command[1]} failed:\n{(done.stdout + done.stderr).strip()}")
