"""The process: its start and end, its options, its log, its health."""

import json
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest

from sandbox.log import CallLog

ROOT = Path(__file__).resolve().parents[2]

# SO_LINGER with no patience: close() resets the connection.
RESET = struct.pack("ii", 1, 0)


def test_health(provider: Any) -> None:
    answer = provider.call("GET", "/sandbox/health", key=None)
    assert (answer.status, answer.json()) == (200, {"status": "ok"})
    assert answer.headers["x-megahub-sandbox"] == "1"


def test_an_unknown_control(provider: Any) -> None:
    assert provider.call("GET", "/sandbox/nothing").status == 404


# -- the log ------------------------------------------------------------------------------------


def test_the_log(provider: Any) -> None:
    headers = {"x-client-request-id": "attempt-1"}
    answer = provider.chat("Hi", headers=headers)
    provider.chat("Hi [sandbox: status=429]", model="gpt-4.1")
    provider.call("GET", "/v1/models", key=None)
    first, second, third = provider.log()
    assert first == {
        "n": ANY,
        "time": ANY,
        "method": "POST",
        "path": "/v1/chat/completions",
        "model": "gpt-4o",
        "client_request_id": "attempt-1",
        "request_id": answer.headers["x-request-id"],
        "status": 200,
        "fault": None,
    }
    assert first["time"].endswith("+00:00")
    assert (second["n"], second["model"]) == (first["n"] + 1, "gpt-4.1")
    assert (second["status"], second["fault"]) == (429, "status=429")
    assert (third["path"], third["status"], third["client_request_id"]) == ("/v1/models", 401, None)
    assert provider.log(after=second["n"]) == [third]
    assert provider.log(after=third["n"]) == []


def test_a_cleared_log_counts_on(provider: Any) -> None:
    provider.chat("Hi")
    (before,) = provider.log()
    assert provider.call("DELETE", "/sandbox/log").json() == {"deleted": 1}
    provider.chat("Hi")
    assert [entry["n"] for entry in provider.log()] == [before["n"] + 1]


def test_a_call_that_was_never_answered_has_no_status(provider: Any) -> None:
    connection = provider.connect()
    body = {"model": "m", "messages": [{"role": "user", "content": "[sandbox: delay=20s]"}]}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"authorization": "Bearer x"})
    connection.sock.settimeout(0.3)
    with pytest.raises(TimeoutError):
        connection.getresponse()
    connection.close()
    (entry,) = provider.log()
    assert (entry["status"], entry["fault"]) == (None, "delay=20s")


@pytest.mark.parametrize("after", ["x", "-1"])
def test_a_wrong_number(provider: Any, after: str) -> None:
    assert provider.call("GET", f"/sandbox/log?after={after}").status == 400


def test_the_log_keeps_the_last_calls() -> None:
    log = CallLog(kept=3)
    for _ in range(5):
        log.open("GET", "/v1/models", None)
    assert [json.loads(line)["n"] for line in log.after(0).splitlines()] == [3, 4, 5]
    assert [json.loads(line)["n"] for line in log.after(4).splitlines()] == [5]


# -- the process --------------------------------------------------------------------------------


def test_a_log_file(
    start_sandbox: Callable[..., Any], provider_at: Callable[[str], Any], tmp_path: Path
) -> None:
    path = tmp_path / "calls.jsonl"
    with start_sandbox("--log", str(path)) as (url, _):
        provider = provider_at(url)
        provider.chat("Hi")
        provider.chat("Hi", model="does-not-exist")
        kept = provider.log()
    written = [json.loads(line) for line in path.read_text().splitlines()]
    assert [entry["status"] for entry in written] == [200, 404]
    assert written == kept


def test_a_folder_for_files(
    start_sandbox: Callable[..., Any], provider_at: Callable[[str], Any], tmp_path: Path
) -> None:
    folder = tmp_path / "files"
    with start_sandbox("--files-dir", str(folder)) as (url, _):
        file_id = provider_at(url).upload(b"{}").json()["id"]
        assert [path.name for path in folder.iterdir()] == [file_id]
    assert (folder / file_id).read_bytes() == b"{}"


def test_clients_that_hang_up_leave_no_errors(
    start_sandbox: Callable[..., Any], provider_at: Callable[[str], Any], tmp_path: Path
) -> None:
    path = tmp_path / "stderr"
    body = {"model": "m", "messages": [{"role": "user", "content": "[tokens=9000]"}]}
    with path.open("wb") as stderr, start_sandbox(stderr=stderr) as (url, _):
        provider = provider_at(url)
        for stream in [False, True] * 10:
            connection = provider.connect()
            data = json.dumps({**body, "stream": stream})
            headers = {"authorization": "Bearer x"}
            connection.request("POST", "/v1/chat/completions", data, headers)
            connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            connection.close()
        assert provider.chat("Still there?").status == 200
    assert path.read_text() == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_although_a_call_stalls(
    start_sandbox: Callable[..., Any],
    provider_at: Callable[[str], Any],
    number: signal.Signals,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with start_sandbox() as (url, process):
        provider = provider_at(url)
        provider.upload(b"{}")
        assert len(list(tmp_path.iterdir())) == 1
        connection = provider.connect()
        body = {"model": "m", "messages": [{"role": "user", "content": "[sandbox: stall=1]"}]}
        provider.send(connection, "POST", "/v1/chat/completions", {**body, "stream": True})
        process.send_signal(number)
        assert process.wait(10) == 0
        connection.close()
    assert list(tmp_path.iterdir()) == []
    with socket.socket() as probe, pytest.raises(ConnectionRefusedError):
        probe.connect((provider.host.split(":")[0], int(provider.host.split(":")[1])))


def test_a_signal_at_the_very_start_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    # The signal comes when the folder is there and the event loop does not listen for signals yet.
    script = (
        "import os, signal, sys, sandbox.__main__ as main;"
        "main.serve = lambda _: os.kill(os.getpid(), signal.SIGTERM);"
        "sys.exit(main.main([]))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, timeout=30)
    assert done.returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_one_left_behind_is_removed(
    start_sandbox: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with start_sandbox() as (_, killed):
        (dead,) = tmp_path.iterdir()
        killed.kill()
        killed.wait(10)
    assert dead.exists()
    with start_sandbox():
        (living,) = tmp_path.iterdir()
        assert living != dead
        with start_sandbox():
            assert living.exists()
            assert len(list(tmp_path.iterdir())) == 2
    assert list(tmp_path.iterdir()) == []
