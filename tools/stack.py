"""``./hub up | demo | test | …`` (``python -m tools.stack``), in ``boot.py``'s environment.

``up`` starts database, broker, sandbox provider, web, worker and beat, sends a job through all
of them and keeps them alive; ``demo`` ends after the job; ``test`` runs pytest beside such servers.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shlex
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from tools import (
    browser,
    check,
    contract,
    demo,
    hosts,
    isolation_mutants,
    keys,
    mutants,
    places,
    processes,
    services,
    typescript,
)
from tools.chaos import run as chaos
from tools.launch import Launch
from tools.report import ROOT, Fault, Stopped, say

DEFAULT_PORT = 8000
WATCH_SECONDS = 0.25
NOT_FOR_TESTS = ("HUB_", "AI_", *services.PROVIDER_KEYS)


def main(arguments: list[str]) -> int:
    """The exit code: 0, or 1 after a fault in one sentence on stderr."""
    command, *rest = arguments
    try:
        if command == "check":
            return check.run()
        if command == "test":
            return test(rest)
        if command == "chaos":
            return chaos.main(rest)
        if command == "browser":
            return browser.run()
        if command == "hosts":
            return hosts.main(rest)
        if command == "mutants":
            return mutants.main(rest, (*mutants.MUTANTS, *isolation_mutants.MUTANTS))
        if command == "client":
            return typescript.run(rest)
        if command == "contract":
            return fuzz(contract.asked(rest))
        return hub(stays=command == "up")
    except (Stopped, KeyboardInterrupt):
        with suppress(OSError):  # the terminal may be gone, too
            say("Ended.")
        return 0 if command == "up" else 130
    except BrokenPipeError:  # nobody reads what is said
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Fault as fault:
        print(f"hub: {fault}", file=sys.stderr)
    except OSError as error:
        print(f"hub: {error.filename or 'the system'}: {error.strerror}.", file=sys.stderr)
    return 1


def hub(*, stays: bool) -> int:
    """``up`` and ``demo``."""
    host, port = os.environ.get("HUB_HOST") or "127.0.0.1", services.chosen_port()
    with Launch(places.var_folder()) as launch:
        if port is None:
            port = DEFAULT_PORT if stays else services.free_port(host)
        services.bound(host, port).close()
        told, password = _open(launch, host, port, plays=not stays)
        address = services.address(host, port)
        if stays:
            stay(launch, address, told, password)
        job = play(address, password, told["answers"])
    print(json.dumps(job))
    return 0


def stay(launch: Launch, address: str, told: dict[str, Any], password: str) -> NoReturn:
    """Try the hub, show it, and keep it alive."""
    try:
        play(address, password, told["answers"])
    except Fault as fault:
        say(str(fault))
    show(launch, address, told["users"], password)
    while True:
        launch.supervisor.mend()
        time.sleep(WATCH_SECONDS)


def _open(launch: Launch, host: str, port: int, *, plays: bool) -> tuple[dict[str, Any], str]:
    """Start all of it: what was prepared, and the password of the demo's people."""
    launch.open_servers()
    hosts = f"localhost,127.0.0.1,[::1],{host}"
    launch.env |= {
        **keys.kept(launch.places.var / "keys"),
        "DJANGO_SETTINGS_MODULE": "megahub.settings.dev",
        "HUB_PORT": str(port),
        "HUB_ALLOWED_HOSTS": os.environ.get("HUB_ALLOWED_HOSTS") or hosts,
    }
    forced = os.environ.get("HUB_SANDBOX") == "1"
    if os.environ.get("HUB_SANDBOX_URL"):
        say("Provider: the sandbox at HUB_SANDBOX_URL.")
    elif plays or forced or not services.has_provider_key():
        launch.open_sandbox()
    else:
        say("Provider: real ones, since there is a key for one (HUB_SANDBOX=1 adds the sandbox).")
    file = launch.places.var / "demo.json"
    password = _password(file)
    told = launch.prepare(password)
    keys.write_private(file, json.dumps({"password": password, "users": told["users"]}) + "\n")
    launch.open_hub(host, port)
    return told, password


def _password(file: Path) -> str:
    """The demo's password: ``HUB_DEMO_PASSWORD``, or the same as last time."""
    if chosen := os.environ.get("HUB_DEMO_PASSWORD"):
        return chosen
    try:
        return str(json.loads(file.read_text())["password"])
    except (OSError, ValueError, KeyError, TypeError):
        return secrets.token_urlsafe(12)


def play(address: str, password: str, answers: str) -> dict[str, Any]:
    """The demo job, where it costs nothing. Raises Fault where it would, and when it fails."""
    if answers == "sandbox":
        return demo.run(address, password)
    why = "has a key of a real provider, and a job would cost money"
    if not answers:
        why = "has no credentials yet, and the sandbox does not run"
    raise Fault(f"No demo job: the company Demo {why} (with another HUB_VAR it is new).")


def show(launch: Launch, address: str, users: list[dict[str, Any]], password: str) -> None:
    """Where to look, as whom, and a line to paste."""
    url = f"http://{address}"
    people = ", ".join(f"{user['username']} ({user['role']} of {user['company']})" for user in users)
    body = json.dumps({"username": demo.WHO, "password": password})
    ask = json.dumps({"model": demo.MODEL, "messages": [{"role": "user", "content": "Hello!"}]})
    content = "-H 'Content-Type: application/json'"
    print(
        f"""
  API     {url}/ai/openai/chat/ and {url}/v1/
  Docs    {url}/docs/
  Admin   {url}/admin/
  People  {people}; {demo.WHO} is the administrator
  Password of all of them: {password}
  Logs    {launch.places.logs}

  Try it:
  TOKEN=$(curl -s {url}/auth/token/ {content} -d {shlex.quote(body)} \\
    | sed 's/.*"access": *"\\([^"]*\\)".*/\\1/'); \\
  curl -s {url}/ai/openai/chat/ {content} -H "Authorization: Bearer $TOKEN" -d {shlex.quote(ask)}

  Ctrl-C ends it.
""",
        flush=True,
    )


def fuzz(options: argparse.Namespace) -> int:
    """schemathesis's exit code. The hub is its own, in ``HUB_VAR/contract``."""
    with Launch(places.var_folder() / "contract") as launch:
        contract.make_safe(launch)
        host, port = "127.0.0.1", services.free_port("127.0.0.1")
        _, password = _open(launch, host, port, plays=True)
        return contract.run(launch, services.address(host, port), password, options)


def test(arguments: list[str]) -> int:
    """pytest's exit code. Its servers and files are its own, in ``HUB_VAR/test``."""
    with Launch(places.var_folder() / "test") as launch:
        launch.open_servers(careless=True)
        env = {name: value for name, value in launch.env.items() if not name.startswith(NOT_FOR_TESTS)}
        env |= {
            "HUB_VAR": str(launch.places.var),
            "DJANGO_SETTINGS_MODULE": "megahub.settings.test",
        }
        with subprocess.Popen(
            services.module("pytest", *arguments),
            cwd=ROOT,
            env=env,
            preexec_fn=processes.die_with_parent(signal.SIGTERM),
        ) as pytest:
            # A Ctrl-C reaches pytest too, which ends by itself and tells how far it came.
            signal.signal(signal.SIGINT, lambda *_: None)
            try:
                return pytest.wait()
            finally:
                pytest.terminate()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
