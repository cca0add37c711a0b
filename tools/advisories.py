"""Published vulnerabilities of what we depend on: ``python -m tools.advisories`` asks pip-audit.

It asks a database over the network. Where it is not installed or there is no network, that is said and
nothing is found; a vulnerability that was found is exit code 1.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys

from tools.report import ROOT, reason

LOCKS = ("requirements.lock", "requirements-dev.lock")
SECONDS = 120
#: How pip-audit and what it stands on say that nobody answered.
NO_NETWORK = (
    "ConnectionError",
    "Max retries",
    "NewConnectionError",
    "ServiceError",
    "Timeout",
    "ProxyError",
)


def main() -> int:
    """The exit code."""
    if importlib.util.find_spec("pip_audit") is None:
        print("Skipped: pip-audit is not installed (dependency group `audit`).")
        return 0
    files = [part for lock in LOCKS for part in ("-r", lock)]
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes", "--timeout", "10"]
    try:
        done = subprocess.run(
            [*command, *files], cwd=ROOT, capture_output=True, text=True, check=False, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        print(f"Skipped: the advisories' database did not answer within {SECONDS} s.")
        return 0
    said = done.stdout + done.stderr
    if done.returncode and any(word in said for word in NO_NETWORK):
        print(f"Skipped: no network to the advisories' database ({reason(said)}).")
        return 0
    print(said)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
