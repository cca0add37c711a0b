"""``python -m tools.leaks`` finds what must not be committed, and nothing else."""

from __future__ import annotations

import random
import string

import pytest

from tools import leaks

CHANCE = random.Random(6)


def of(length: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    """Made here, so that this file holds none."""
    return "".join(CHANCE.choices(alphabet, k=length))


@pytest.mark.parametrize(
    ("kind", "secret"),
    [
        ("a private key", "-----BEGIN RSA " + "PRIVATE KEY-----"),
        ("an OpenAI key", "sk-proj-" + of(48)),
        ("a Google key", "AIza" + of(35)),
        ("an AWS key", "AKIA" + of(16, string.ascii_uppercase)),
        ("a GitHub token", "ghp_" + of(36)),
        ("a token of the hub's", f"mh_{of(10, string.ascii_lowercase)}_{of(40)}"),
        ("a webhook's secret", "whsec_" + of(40)),
        ("a JSON Web Token", f"eyJ{of(20)}.eyJ{of(40)}.{of(43)}"),
        ("a master key", f"AI_ENCRYPTION_KEY=own:{of(43)}="),
    ],
)
def test_a_secret(kind: str, secret: str) -> None:
    assert list(leaks.told(f"a line\nkey = '{secret}'\n")) == [(2, kind)]


@pytest.mark.parametrize(
    "text", ["sk-canary-" + "x" * 40, "AKIA" + "A" * 16, "sk-short", "mh_" + "a" * 10 + "_x"]
)
def test_what_is_none(text: str) -> None:
    assert list(leaks.told(text)) == []


def test_a_published_one_is_marked() -> None:
    secret = "whsec_" + of(40)

    assert list(leaks.told(f'S = "{secret}"  # leaks: published\n')) == []
    assert list(leaks.told(f'S = "{secret}"\n# leaks: published\n')) == [(1, "a webhook's secret")]


def test_nothing_is_committed() -> None:
    assert list(leaks.found()) == []
