"""The launcher for real: servers, processes and jobs of this checkout in a temporary folder."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.launcher.conftest import Launcher, free_port, is_free, processes_of, wait_until_gone

pytestmark = pytest.mark.slow_launcher
UP = "Ctrl-C ends it."
Launch = Callable[..., Launcher]
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_a_demo_ends_with_the_completed_job(launch: Launch) -> None:
    launcher = launch("demo")
    assert launcher.end() == 0, launcher.err.read_text()
    job = json.loads(launcher.out.read_text().splitlines()[-1])
    assert (job["status"], job["is_async"], job["sandbox"]) == ("completed", True, True)
    assert launcher.err.read_text() == ""
    assert list((launcher.var / "run").glob("*.pid")) == []
    assert (launcher.var / "demo.json").stat().st_mode & 0o777 == 0o600


@on_linux
def test_two_side_by_side_and_their_ends(launch: Launch) -> None:
    killed = launch("up", "killed", HUB_PORT=str(free_port()))
    ended = launch("up", "ended", HUB_PORT=str(free_port()))
    for launcher in (killed, ended):
        launcher.wait_for(UP)
    run_ids = [launcher.get("/healthz")["run_id"] for launcher in (killed, ended)]
    assert len(set(run_ids)) == 2
    assert len(processes_of(run_ids[0], killed.var)) >= 4  # sandbox, web, worker, beat; servers

    # No secret stands on a command line or in a log.
    password = json.loads((ended.var / "demo.json").read_text())["password"]
    secrets = [file.read_text().strip() for file in (ended.var / "keys").iterdir()]
    assert len(secrets) == 3
    shown = "\n".join(processes_of(run_ids[1], ended.var))
    shown += "".join(log.read_text() for log in (ended.var / "logs").iterdir())
    assert [secret for secret in (password, *secrets) if secret in shown] == []

    # The same folder twice.
    second = launch("up", "ended", HUB_PORT=str(free_port()))
    assert second.end() == 1
    assert "runs with HUB_VAR=" in second.err.read_text()

    # kill -9 of a launcher takes its processes along, and nobody else's.
    killed.process.kill()
    killed.end()
    assert wait_until_gone(run_ids[0], killed.var, 5.0) == []
    assert is_free(killed.port)
    assert ended.get("/healthz")["run_id"] == run_ids[1]

    # A child that dies is started again.
    os.kill(ended.pid_of("web"), signal.SIGKILL)
    ended.out.write_text("")
    ended.wait_for("web was killed by signal 9: starting it again in 0.5 s.")

    # SIGTERM ends everything in good order.
    ended.process.send_signal(signal.SIGTERM)
    assert ended.end() == 0, ended.err.read_text()
    assert processes_of(run_ids[1], ended.var) == []
    assert is_free(ended.port)
    assert "database system is shut down" in (ended.var / "logs" / "postgres.log").read_text()


@on_linux
def test_a_kill_while_starting_leaves_nothing(launch: Launch) -> None:
    launcher = launch("up", HUB_PORT=str(free_port()))
    launcher.wait_for("Provider:")
    launcher.process.kill()
    launcher.end()
    assert wait_until_gone("none", launcher.var, 5.0) == []


def test_a_port_in_use(launch: Launch) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        launcher = launch("up", HUB_PORT=str(port))
        assert launcher.end() == 1
    assert launcher.err.read_text() == (
        f"hub: Port {port} on 127.0.0.1 cannot be had (Address already in use):"
        " choose another with HUB_PORT (and HUB_HOST).\n"
    )
    assert not list(launcher.var.glob("pg*"))


def test_a_folder_that_cannot_be_written(launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    launcher = launch("up", HUB_VAR=str(tmp_path / "file" / "var"))
    assert launcher.end() == 1
    assert launcher.err.read_text() == (
        f"hub: HUB_VAR={tmp_path}/file/var cannot be written: Not a directory.\n"
    )


def test_a_database_that_does_not_answer(launch: Launch) -> None:
    url = f"postgres://hub:secret@127.0.0.1:{free_port()}/hub"
    launcher = launch("demo", DATABASE_URL=url)
    assert launcher.end() == 1
    told = launcher.err.read_text()
    assert told.startswith("hub: DATABASE_URL: postgres://hub@127.0.0.1:")
    assert told.endswith("Connection refused.\n")
    assert told.count("\n") == 1
    assert "secret" not in told
