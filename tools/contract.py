"""``./hub contract [--cases N] [--seed N] [--only REGEX] [--quick]``: schemathesis over every operation.

The hub is its own (``HUB_VAR/contract``), with the sandbox provider in the place of all providers, also of
those whose keys a test case happens to store. ``--quick`` (a few operations) is for CI; 500 cases by hand.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from tools.client import Client
from tools.launch import Launch
from tools.report import Fault, say

#: What must hold, and nothing less: docs/contract.md tells what each of them means.
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "ignored_auth",
    "use_after_free",
    "ensure_resource_availability",
)
PHASES = "examples,coverage,fuzzing,stateful"
FEW, SEED, WORKERS = 5, 20260101, 2
#: Operations that make, read, change and delete rows, of several rooms: what a minute is enough for.
QUICK = (
    r"^/(auth/brands|auth/invitations/(\{|$)|ai/privacy/(policy|erasures)|ai/rate-limits|ai/credentials)"
)
QUICK_CASES, QUICK_PHASES = 2, "fuzzing,stateful"
RUN = "from schemathesis.cli import schemathesis; schemathesis()"
#: Nothing that a case stores or asks for leads out of this machine, or ends the caller's own access.
SAFE = {
    "HUB_ACCESS_TOKEN_MINUTES": "1440",
    "HUB_PROVIDER_FIRST_BYTE_SECONDS": "5",
    "OPENAI_API_KEY": "",
    "INFOMANIAK_API_KEY": "",
}


def asked(arguments: list[str]) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="./hub contract", description=__doc__)
    parser.add_argument("--cases", type=int, default=FEW, help="test cases of each operation and phase")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--only", default="", help="operations whose path matches this")
    parser.add_argument("--phases", default=PHASES)
    parser.add_argument("--quick", action="store_true", help="a minute's worth, for CI")
    found = parser.parse_args(arguments)
    if found.quick:
        found.cases, found.only, found.phases = QUICK_CASES, QUICK, QUICK_PHASES
    return found


def make_safe(launch: Launch) -> None:
    """The sandbox answers in every provider's place."""
    launch.open_sandbox()
    url = launch.env["HUB_SANDBOX_URL"]
    os.environ["HUB_SANDBOX_URL"] = url
    launch.env |= {**SAFE, "OPENAI_BASE_URL": f"{url}/v1", "INFOMANIAK_BASE_URL": url}


def run(launch: Launch, address: str, password: str, options: argparse.Namespace) -> int:
    """schemathesis's exit code: 0 when nothing was found."""
    status, body = Client(address).post("/auth/token/", {"username": "alice", "password": password})
    if status != 200:
        raise Fault(f"alice cannot sign in: {body}")
    folder = launch.places.var / "report"
    say(f"{options.cases} cases of each operation, seed {options.seed}; the report is in {folder}.")
    codes = []
    for phases, mode in _runs(options.phases):
        arguments = _arguments(address, body["access"], folder, options)
        done = subprocess.run(
            [sys.executable, "-c", RUN, *arguments, f"--phases={phases}", f"--mode={mode}"],
            cwd=launch.places.var,  # its own settings and its database of examples stay here
            env={**os.environ, "NO_COLOR": "1"},
            check=False,
        )
        codes.append(done.returncode)
    return max(codes)


def _runs(phases: str) -> list[tuple[str, str]]:
    """(phases, mode): a sequence begins with something that could be made, which bad input does not."""
    named = phases.split(",")
    alone = [each for each in named if each != "stateful"]
    found = [(",".join(alone), "all")] if alone else []
    return [*found, ("stateful", "positive")] if "stateful" in named else found


def _arguments(address: str, token: str, folder: Path, options: argparse.Namespace) -> list[str]:
    found = [
        "run",
        f"http://{address}/schema/?format=json",
        f"--header=Authorization: Bearer {token}",
        f"--checks={','.join(CHECKS)}",
        f"--max-examples={options.cases}",
        f"--seed={options.seed}",
        f"--workers={WORKERS}",
        "--generation-database=none",
        "--request-timeout=20",
        "--continue-on-failure",
        "--warnings=off",
        "--suppress-health-check=all",
        "--report=junit,ndjson",
        f"--report-dir={folder}",
    ]
    return found + ([f"--include-path-regex={options.only}"] if options.only else [])
