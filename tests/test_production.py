"""Production refuses to start without sound keys of its own, and names the variable, never the key."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from megahub.tenancy import checks
from tests.processes import Hub, clean_env, wait_for
from tools.report import ROOT

VARIABLES = ("HUB_SECRET_KEY", "HUB_JWT_KEY", "AI_ENCRYPTION_KEY")
SOUND = {
    "HUB_SECRET_KEY": "signs-sessions-" + "s" * 50,
    "HUB_JWT_KEY": "signs-tokens-" + "t" * 64,
    "AI_ENCRYPTION_KEY": "own:" + base64.b64encode(b"seals" * 6 + b"it").decode(),
}
DEVELOPMENT = {
    "HUB_SECRET_KEY": "development-only-not-a-secret-" + "0" * 40,
    "HUB_JWT_KEY": "development-only-jwt-key-" + "0" * 64,
    "AI_ENCRYPTION_KEY": "dev:" + base64.b64encode(b"0" * 32).decode(),
}
SHARED = "one-key-for-two-purposes-" + "x" * 64
WEB = ("-c", "import megahub.asgi")
WORKER = ("-m", "celery", "-A", "megahub", "worker", "-P", "threads", "-c", "1")
BEAT = ("-m", "celery", "-A", "megahub", "beat")


class TestChecks:
    """Each fault has an id of its own."""

    @pytest.fixture(autouse=True)
    def production(self, settings: Any) -> None:
        settings.HUB_KEYS_ARE_OWN = True
        self.give(settings, **SOUND)

    @staticmethod
    def give(settings: Any, **given: str) -> None:
        for name, value in given.items():
            setattr(settings, name.replace("HUB_SECRET_KEY", "SECRET_KEY"), value)

    def found(self) -> list[tuple[str | None, str]]:
        return [(error.id, error.msg) for error in checks.check_keys(None)]

    def test_sound_keys(self) -> None:
        assert self.found() == []
        checks.require_keys()

    @pytest.mark.parametrize(
        ("name", "value", "error"),
        [
            ("HUB_SECRET_KEY", "x" * 49, "hub.E001"),
            ("HUB_SECRET_KEY", "unset", "hub.E001"),
            ("HUB_JWT_KEY", "x" * 63, "hub.E002"),
            ("HUB_JWT_KEY", "", "hub.E002"),
            ("AI_ENCRYPTION_KEY", "", "hub.E003"),
            ("AI_ENCRYPTION_KEY", "canary", "hub.E003"),
            ("AI_ENCRYPTION_KEY", "a:canary", "hub.E003"),
            ("AI_ENCRYPTION_KEY", "a:" + base64.b64encode(b"canary").decode(), "hub.E003"),
            ("AI_ENCRYPTION_KEY", ":" + base64.b64encode(b"0" * 32).decode(), "hub.E003"),
            ("AI_ENCRYPTION_KEY", SOUND["AI_ENCRYPTION_KEY"] + ",b:canary", "hub.E003"),
            *[(name, value, "hub.E004") for name, value in DEVELOPMENT.items()],
        ],
    )
    def test_an_unsound_one(self, settings: Any, name: str, value: str, error: str) -> None:
        self.give(settings, **{name: value})

        ((found, message),) = self.found()

        assert found == error
        assert name in message
        assert "canary" not in message
        with pytest.raises(ImproperlyConfigured, match=f"\\({error}\\) "):
            checks.require_keys()

    def test_a_key_for_two_purposes(self, settings: Any) -> None:
        self.give(settings, HUB_SECRET_KEY=SHARED, HUB_JWT_KEY=SHARED)

        ((found, message),) = self.found()

        assert found == "hub.E004"
        assert SHARED not in message

    def test_a_master_key_that_signs_tokens_too(self, settings: Any) -> None:
        long = ",".join(f"key{n}:{base64.b64encode(bytes([n] * 32)).decode()}" for n in (1, 2))
        self.give(settings, HUB_JWT_KEY=long, AI_ENCRYPTION_KEY=long)

        assert [error for error, _ in self.found()] == ["hub.E004"]

    def test_a_developers_machine_may_have_them(self, settings: Any) -> None:
        settings.HUB_KEYS_ARE_OWN = False
        self.give(settings, **DEVELOPMENT)

        assert self.found() == []


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, subprocess.Popen[str]]]:
    """What each process says of unsound keys; all at once, since each takes a second."""
    var = tmp_path_factory.mktemp("refused")

    def start(arguments: tuple[str, ...], **given: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=clean_env(DJANGO_SETTINGS_MODULE="megahub.settings.prod", HUB_VAR=str(var), **given),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    started = {
        "web": start(WEB),
        "worker": start(WORKER),
        "beat": start((*BEAT, "-s", str(var / "schedule"))),
        "shared": start(WEB, **{**SOUND, "HUB_JWT_KEY": SHARED, "HUB_SECRET_KEY": SHARED}),
        "development": start(WEB, **DEVELOPMENT),
        "malformed": start(WEB, **{**SOUND, "AI_ENCRYPTION_KEY": "id:canary"}),
    }
    yield started
    for process in started.values():
        process.kill()  # nothing, once it has ended
        process.communicate()


@pytest.mark.parametrize(
    ("what", "errors", "named"),
    [
        ("web", "E001 E002 E003 E004", VARIABLES),
        ("worker", "E001 E002 E003 E004", VARIABLES),
        ("beat", "E001 E002 E003 E004", VARIABLES),
        ("shared", "E004", VARIABLES),
        ("development", "E004", VARIABLES),
        ("malformed", "E003", ("AI_ENCRYPTION_KEY",)),
    ],
)
def test_it_does_not_start(
    refused: dict[str, subprocess.Popen[str]], what: str, errors: str, named: tuple[str, ...]
) -> None:
    _, said = refused[what].communicate(timeout=20)

    assert refused[what].returncode != 0
    last = said.strip().splitlines()[-1]
    assert "ImproperlyConfigured" in last
    assert re.findall(r"\(hub\.(E\d+)\)", last) == errors.split()
    assert [name for name in VARIABLES if name in last] == list(named)
    for secret in ("canary", SHARED, *SOUND.values(), *DEVELOPMENT.values()):
        assert secret not in said


@pytest.fixture
def sound(tmp_path: Path, sandbox_url: str) -> Iterator[Hub]:
    found = Hub(tmp_path, sandbox_url, **{**SOUND, "DJANGO_SETTINGS_MODULE": "megahub.settings.prod"})
    yield found
    found.end()


def test_with_sound_keys_all_three_start(sound: Hub) -> None:
    web, worker, beat = sound.web(), sound.worker(), sound.beat()

    sound.ready(web, worker)
    wait_for(sound.listens)
    wait_for(lambda: list(sound.folder.glob("bell/queue/*")) or (sound.folder / "beat-schedule").exists())
    assert beat.poll() is None
