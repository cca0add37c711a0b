"""Secrets that were committed: ``python -m tools.leaks`` reads every file that git keeps.

Keys are looked for by the forms that their makers give them; what is made up for a test says so in
itself (``canary``, ``example``, a row of one character, …), a published one on its line (``# leaks:
published``). The exit code is 1 when something is found.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tools.report import ROOT

FORMS = {
    "a private key": r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----",
    "an OpenAI key": r"\bsk-(?:proj-|svcacct-|admin-)?[A-Za-z0-9_-]{40,}",
    "an Anthropic key": r"\bsk-ant-[A-Za-z0-9_-]{20,}",
    "a Google key": r"\bAIza[A-Za-z0-9_-]{35}\b",
    "an AWS key": r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    "a GitHub token": r"\bgh[pousr]_[A-Za-z0-9]{36,}\b|\bgithub_pat_[A-Za-z0-9_]{60,}",
    "a GitLab token": r"\bglpat-[A-Za-z0-9_-]{20,}",
    "a Slack token": r"\bxox[abprs]-[A-Za-z0-9-]{10,}|hooks\.slack\.com/services/T\w+/B\w+/\w{20,}",
    "a Stripe key": r"\b[sr]k_live_[A-Za-z0-9]{20,}",
    "a PyPI token": r"\bpypi-AgEI[A-Za-z0-9_-]{50,}",
    "an npm token": r"\bnpm_[A-Za-z0-9]{36}\b",
    "a token of the hub's": r"\bmh_[a-z0-9]{10}_[A-Za-z0-9]{40}\b",
    "a webhook's secret": r"\bwhsec_[A-Za-z0-9+/=]{32,}",
    "a JSON Web Token": r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{20,}",
    "a master key": r"\b(?:AI_ENCRYPTION_KEY)=[\w-]+:[A-Za-z0-9+/]{43}=",
}
#: One of these is in every line that holds one: to look for words costs little, for fifteen forms much.
WORDS = tuple(
    "PRIVATE|sk-|AIza|AKIA|ASIA|gh|glpat-|xox|slack|k_live_|pypi-|npm_|mh_|whsec_|eyJ|KEY=".split("|")
)
KNOWN = re.compile("|".join(f"(?P<f{n}>{form})" for n, form in enumerate(FORMS.values())))
#: What no real key holds.
MADE_UP = re.compile(
    r"canary|example|fake|dummy|invent|sandbox|test|abcdef|0123456789|(\w)\1{7}|never|wrong|secret-",
    re.IGNORECASE,
)
PUBLISHED = "# leaks: published"
READ_BYTES = 4_000_000


def found(root: Path = ROOT) -> Iterator[str]:
    """``file:line: what it looks like``, never the secret itself."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, check=True).stdout
    for name in filter(None, listed.decode().split("\0")):
        file = root / name
        if not file.is_file() or file.stat().st_size > READ_BYTES:
            continue
        yield from (f"{name}:{line}: {kind}" for line, kind in told(file.read_text(errors="replace")))


def told(text: str) -> Iterator[tuple[int, str]]:
    """(line, kind) of each secret in a text."""
    kinds = list(FORMS)
    words = [word for word in WORDS if word in text]
    for number, line in enumerate(text.split("\n"), 1) if words else ():
        if not any(word in line for word in words):
            continue
        for match in KNOWN.finditer(line):
            rest = line[match.end() : match.end() + 60]
            if not MADE_UP.search(match[0]) and PUBLISHED not in rest:
                yield number, kinds[int(str(match.lastgroup)[1:])]


def main() -> int:
    """The exit code."""
    seen = list(found())
    print("\n".join(seen) or "No secrets.")
    return 1 if seen else 0


if __name__ == "__main__":
    sys.exit(main())
