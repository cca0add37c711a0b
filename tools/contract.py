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
from typing import Any

from tools.client import Client
from tools.launch import Launch
from tools.report import ROOT, Fault, say

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
SECONDS_OF_A_SEQUENCE, LEAST_SECONDS = 1, 10
#: A sequence is as long as making, reading, changing and deleting a few things takes.
SETTINGS = """
[phases.stateful]
max-steps = 20
link-calibration = false
"""
#: Operations that make, read, change and delete rows, of several rooms: what a minute is enough for.
QUICK = (
    r"^/(auth/brands|auth/invitations/(\{|$)|ai/privacy/(policy|erasures)|ai/rate-limits|ai/credentials)"
)
#: What the lists show before the first sequence: one that begins with an empty list leads nowhere.
CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Say hello."}]}
LINE = {"custom_id": "one", "method": "POST", "url": "/v1/chat/completions", "body": CHAT}
BATCH: dict[str, Any] = {"endpoint": "/v1/chat/completions", "engine": "hub", "requests": [LINE]}
MANUAL = {"provider_name": "openai", "model_name": "o3", "input_tokens": 9, "output_tokens": 9}
FIRST: tuple[tuple[str, dict[str, Any]], ...] = (
    ("/ai/jobs/", {"job_type": "chat_completion", "input_data": CHAT}),
    ("/ai/openai/jobs/", CHAT),
    ("/ai/usage/", MANUAL),
    ("/ai/alerts/", {"message": "Look at this."}),
    ("/ai/budgets/", {"limit": "5", "period": "day", "scope": "model", "scope_value": "o3"}),
    ("/ai/rate-limits/", {"requests_per_minute": 1_000_000, "scope": "model", "scope_value": "o3"}),
    ("/ai/usage/export-schedules/", {"name": "First", "period": "daily", "delivery": "webhook"}),
    ("/ai/webhooks/", {"events": ["job.completed"], "url": ""}),
    ("/api/batch/create", BATCH),
    ("/api/batch/schedules", {**BATCH, "cron": "0 6 * * *", "name": "First"}),
)
QUICK_CASES, QUICK_PHASES = 2, "fuzzing,stateful"
RUN = "from schemathesis.cli import schemathesis; schemathesis()"
#: Nothing that a case stores or asks for leads out of this machine, or ends the caller's own access.
SAFE = {
    "HUB_ACCESS_TOKEN_MINUTES": "1440",
    "HUB_PROVIDER_FIRST_BYTE_SECONDS": "5",
    "HUB_WEBHOOKS_ALLOW_PRIVATE": "true",  # sequences' webhooks lead to the sandbox
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
    (launch.places.var / "schemathesis.toml").write_text(SETTINGS)
    if "stateful" in options.phases:
        _make_first(Client(address, body["access"]))
    codes = []
    for phases, modes, hooks in _runs(options):
        arguments = _arguments(address, body["access"], folder, options)
        done = subprocess.run(
            [sys.executable, "-c", RUN, *arguments, f"--phases={phases}", *modes],
            cwd=launch.places.var,  # its own settings and its database of examples stay here
            env={**os.environ, "NO_COLOR": "1", "PYTHONPATH": str(ROOT), **hooks},
            check=False,
        )
        codes.append(done.returncode)
    return max(codes)


def _make_first(alice: Client) -> None:
    """What an earlier run on the same database made may be there already, or too much of it."""
    for path, asked in FIRST:
        named = {**asked, "url": os.environ["HUB_SANDBOX_URL"]} if "url" in asked else asked
        status, told = alice.post(path, named)
        if status not in (200, 201, 202):
            say(f"Sequences begin without a new one of {path}: {told}")
    alice.get("/ai/usage/export/?async=true")


def _runs(options: argparse.Namespace) -> list[tuple[str, list[str], dict[str, str]]]:
    """(phases, arguments, environment); sequences have their own, see ``tools/walks.py``.

    They end when the hub answers a repetition otherwise, as it does; with time left they go on.
    """
    named = options.phases.split(",")
    alone = [each for each in named if each != "stateful"]
    found: list[tuple[str, list[str], dict[str, str]]] = (
        [(",".join(alone), ["--mode=all"], {})] if alone else []
    )
    if "stateful" in named:
        seconds = max(LEAST_SECONDS, options.cases * SECONDS_OF_A_SEQUENCE)
        found.append(
            (
                "stateful",
                ["--mode=positive", f"--max-time={seconds}"],
                {"SCHEMATHESIS_HOOKS": "tools.walks"},
            )
        )
    return found


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
