"""``./hub browser``: the Chromium of the tests in ``tests/browser/``: the machine's own, else Debian's.

Playwright's own download is not asked for: the registries that a developer or CI reaches hold packages,
not browsers, and Debian's Chromium gets its security fixes by itself.
"""

from __future__ import annotations

import os
import shutil
import subprocess

from tools.report import Fault, reason, say

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
LINE = "apt-get update && apt-get install -y --no-install-recommends chromium fonts-dejavu-core"


def found() -> str | None:
    """A Chromium on this machine: ``PYTEST_BROWSER``, else the first on the PATH."""
    named = os.environ.get("PYTEST_BROWSER")
    return named or next((path for name in NAMES if (path := shutil.which(name))), None)


def run() -> int:
    """0 once there is one. Raises Fault with the line to type."""
    if found() is None:
        if shutil.which("apt-get") is None or os.geteuid() != 0:
            raise Fault(
                f"the tests of pages need Chromium: name one with PYTEST_BROWSER, or as root type: {LINE}"
            )
        say(f"No Chromium here: {LINE}")
        done = subprocess.run(
            ["sh", "-c", LINE], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if done.returncode or found() is None:
            raise Fault(f"`{LINE}` failed: {reason(done.stdout)}")
    say(f"Browser: {found()}.")
    return 0
