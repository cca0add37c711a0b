"""The launcher's parts, each on its own."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import dj_database_url
import pytest

from tests.launcher.conftest import ROOT, free_port
from tools import boot, keys, places, postgres, processes, servers, services, stack, supervisor
from tools.places import Places
from tools.processes import Program
from tools.report import Fault, reason
from tools.supervisor import Supervisor

TERM = 15


# -- places -------------------------------------------------------------------------------------


def test_sockets_of_a_short_folder() -> None:
    assert places.socket_folder(Path("/short/var"), ("/tmp",)) == Path("/short/var/run")


def test_sockets_of_a_long_folder(tmp_path: Path) -> None:
    long = Path("/", "é" * 50, "var")
    folder = places.socket_folder(long, (None, str(tmp_path / "absent"), "/tmp"))
    assert folder.parent == Path("/tmp")
    assert len(os.fsencode(folder / places.LONGEST_SOCKET)) < 104
    assert folder != places.socket_folder(long.with_name("other"), ("/tmp",))


def test_sockets_of_a_folder_with_a_comma() -> None:
    assert places.socket_folder(Path("/a,b/var"), ("/tmp",)).parent == Path("/tmp")


def test_sockets_nowhere() -> None:
    with pytest.raises(Fault, match="too long a path"):
        places.socket_folder(Path("/", "x" * 100), ())


def test_the_folders_are_private(tmp_path: Path) -> None:
    made = places.make(tmp_path / "a" / "var")
    assert [path.stat().st_mode & 0o777 for path in (made.var, made.logs, made.pids)] == [0o700] * 3
    assert made.sockets == made.pids


def test_a_folder_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "sockets"
    places.make_private(folder, os.geteuid())
    places.make_private(folder, os.geteuid())
    folder.chmod(0o755)
    with pytest.raises(Fault, match="not a private folder"):
        places.make_private(folder, os.geteuid())


def test_one_launcher_for_one_folder(tmp_path: Path) -> None:
    here = places.make(tmp_path)
    with places.lock(here), pytest.raises(Fault, match="already"):
        places.lock(here)
    places.lock(here).close()


# -- keys ---------------------------------------------------------------------------------------


@pytest.fixture
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in keys.MAKERS:
        monkeypatch.delenv(name, raising=False)


def test_keys_are_made_once(no_keys: None, tmp_path: Path) -> None:
    found = keys.kept(tmp_path / "keys")
    assert keys.kept(tmp_path / "keys") == found
    assert sorted(found) == ["AI_ENCRYPTION_KEY", "HUB_JWT_KEY", "HUB_SECRET_KEY"]
    assert len(found["HUB_SECRET_KEY"]) >= 50
    assert len(found["HUB_JWT_KEY"].encode()) >= 64
    key_id, _, encoded = found["AI_ENCRYPTION_KEY"].partition(":")
    assert (key_id, len(base64.b64decode(encoded, validate=True))) == ("local", 32)
    modes = {file.name: file.stat().st_mode & 0o777 for file in (tmp_path / "keys").iterdir()}
    assert modes == {"ai_encryption_key": 0o600, "hub_jwt_key": 0o600, "hub_secret_key": 0o600}


def test_a_given_key_comes_first(no_keys: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_JWT_KEY", "given")
    assert keys.kept(tmp_path)["HUB_JWT_KEY"] == "given"
    assert not (tmp_path / "hub_jwt_key").exists()


def test_an_empty_key_file_is_no_key(no_keys: None, tmp_path: Path) -> None:
    (tmp_path / "hub_jwt_key").write_text("\n")
    with pytest.raises(Fault, match="hub_jwt_key is empty"):
        keys.kept(tmp_path)


# -- processes ----------------------------------------------------------------------------------


@pytest.fixture
def here(tmp_path: Path) -> Places:
    return places.make(tmp_path)


def program(script: str, patience: float = 5.0) -> Program:
    return Program("child", ["sh", "-c", script], dict(os.environ), ends=((TERM, patience),))


def start(here: Places, script: str, patience: float = 5.0) -> subprocess.Popen[bytes]:
    return processes.start(program(script, patience), here.log("child"), here.pids)


def test_identity() -> None:
    child = subprocess.Popen(["sleep", "60"])
    found = processes.identity(child.pid)
    assert found is not None
    assert found == processes.identity(child.pid)
    child.kill()
    time.sleep(0.1)
    assert processes.identity(child.pid) is None  # a zombie
    child.wait()
    assert processes.identity(child.pid) is None


def test_what_was_left_is_ended(here: Places, capsys: pytest.CaptureFixture[str]) -> None:
    child = start(here, "sleep 60")
    assert [found.pid for found in processes.recorded(here.pids)] == [child.pid]
    assert processes.end_recorded(here.pids)
    assert child.wait(5) == -TERM
    assert f"Ending child (pid {child.pid})." in capsys.readouterr().out
    assert processes.recorded(here.pids) == []
    assert not processes.end_recorded(here.pids)


def test_another_process_with_a_recorded_pid_is_left_alone(here: Places) -> None:
    child = start(here, "sleep 60")
    file = here.pids / "child.pid"
    file.write_text(json.dumps({**json.loads(file.read_text()), "identity": "earlier"}))
    assert not processes.end_recorded(here.pids)
    assert not file.exists()
    assert child.poll() is None
    child.kill()
    child.wait()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"pid": 1}', "12"])
def test_a_broken_pid_file(here: Places, text: str) -> None:
    (here.pids / "child.pid").write_text(text)
    assert processes.recorded(here.pids) == []


def test_a_deaf_process_and_its_children_are_killed(here: Places) -> None:
    child = start(here, "trap '' TERM; sleep 60 & echo ready; wait; sleep 60", patience=0.2)
    while "ready" not in here.log("child").read_text():
        time.sleep(0.01)
    processes.end_recorded(here.pids)
    assert child.wait(5) == -9


def test_a_child_that_keeps_dying(
    here: Places, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(supervisor, "FIRST_PAUSE_SECONDS", 0.01)
    watched = Supervisor(here)
    watched.start(program("echo unwell; exit 3"))

    def mend_for_ever() -> None:
        while True:
            watched.mend()
            time.sleep(0.005)

    with pytest.raises(Fault, match=r"(?s)child ended with code 3, 5 times .*\n    unwell"):
        mend_for_ever()
    assert capsys.readouterr().out.count("starting it again") == 4
    assert here.log("child").read_text() == "unwell\n" * 5


def test_a_child_that_dies_while_starting(here: Places) -> None:
    watched = Supervisor(here)
    watched.start(program("exit 3"))
    watched.children[0].process.wait()
    with pytest.raises(Fault, match="child ended with code 3"):
        watched.check()


def test_a_program_that_is_not_there(here: Places) -> None:
    with pytest.raises(Fault, match="child cannot be started"):
        Supervisor(here).start(Program("child", ["/absent"], {}))


# -- servers ------------------------------------------------------------------------------------


def test_django_reads_the_socket_folder_from_the_url() -> None:
    found = dj_database_url.parse(postgres.url_of(Path("/a b/%2F/run")))
    assert [found[name] for name in ("ENGINE", "HOST", "PORT", "USER", "NAME")] == [
        "django.db.backends.postgresql",
        "/a b/%2F/run",
        5432,
        "hub",
        "hub",
    ]


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("unix:///a%20b/redis.sock", "redis+socket:///a%20b/redis.sock"),
        ("unix:///run/redis.sock?db=2", "redis+socket:///run/redis.sock?virtual_host=2"),
        ("redis://host:6379/1", "redis://host:6379/1"),
        ("", "filesystem://"),
    ],
)
def test_celery_reads_the_broker_from_the_url(clean_env: dict[str, str], given: str, read: str) -> None:
    script = "from megahub.settings import base; print(base.CELERY_BROKER_URL)"
    env = {**clean_env, "REDIS_URL": given}
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.stdout.strip() == read


def test_urls_are_shown_without_their_password() -> None:
    shown = servers.without_password("redis://me:secret@host:1/0?password=secret")
    assert shown == "redis://me@host:1/0"


def test_database_urls_that_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for url, told in {
        "mysql://host/x": "DATABASE_URL must begin with postgres:// or sqlite:///.",
        "postgres://me:secret@host/x?nonsense=1": "DATABASE_URL is not a valid PostgreSQL URL.",
        f"sqlite:///{tmp_path}/file/x": f"DATABASE_URL: {tmp_path}/file cannot be made: File exists.",
    }.items():
        with pytest.raises(Fault) as caught:
            servers.check_database(url)
        assert str(caught.value) == told


def test_the_ladder_goes_on_to_the_next_way(here: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    (here.var / "postgres").symlink_to("/bin/echo")
    good = postgres.Way("good", here.var, here.var, here.sockets)
    refused = postgres.Way("refused", here.var, here.var, here.sockets, ("sh", "-c", "echo no; exit 1"))
    absent = postgres.Way("absent", here.var, here.var, here.sockets, ("/absent/unshare",))

    def found(*ways: postgres.Way) -> postgres.Way:
        makers = (partial(replace, way) for way in ways)
        monkeypatch.setattr(postgres, "ways", lambda _: makers)
        return postgres.find_way(here)

    assert found(refused, absent, good) == good
    with pytest.raises(Fault, match=r"^no; .*/absent/unshare"):
        found(refused, absent)


def test_servers_are_told_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "HUB_JWT_KEY", "PGHOST", "LC_CTYPE"):
        monkeypatch.setenv(name, "x")
    told = processes.environment_without_keys()
    assert not {"OPENAI_API_KEY", "HUB_JWT_KEY", "PGHOST", "LC_CTYPE"} & set(told)
    assert told["LC_ALL"] == "C"


# -- the hub's own processes --------------------------------------------------------------------


@pytest.mark.parametrize("port", ["x", "0", "65536", "-1", "²"])
def test_a_port_that_is_none(monkeypatch: pytest.MonkeyPatch, port: str) -> None:
    monkeypatch.setenv("HUB_PORT", port)
    with pytest.raises(Fault, match="HUB_PORT must be a number"):
        services.chosen_port()


def test_a_port_in_use() -> None:
    port = free_port()
    with closing(services.bound("127.0.0.1", port)) as listener:
        listener.listen()
        with pytest.raises(Fault, match=f"Port {port} on 127.0.0.1 cannot be had"):
            services.bound("127.0.0.1", port)


@pytest.mark.parametrize(
    ("host", "address"),
    [("0.0.0.0", "127.0.0.1:1"), ("::", "[::1]:1"), ("hub.local", "hub.local:1")],
)
def test_the_address_to_reach_a_server(host: str, address: str) -> None:
    assert services.address(host, 1) == address


def test_the_demos_password_is_the_same_as_last_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HUB_DEMO_PASSWORD", raising=False)
    file = tmp_path / "demo.json"
    made = {stack._password(file) for _ in range(2)}
    assert len(made) == 2  # nothing is kept yet
    assert all(len(password) >= 16 for password in made)
    file.write_text(json.dumps({"password": "kept", "users": []}))
    assert stack._password(file) == "kept"
    for broken in ("", "{}", "[]", "{"):
        file.write_text(broken)
        assert len(stack._password(file)) >= 16


def test_a_password_for_the_demo_that_is_given_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "demo.json"
    file.write_text(json.dumps({"password": "kept", "users": []}))
    monkeypatch.setenv("HUB_DEMO_PASSWORD", "given")
    assert stack._password(file) == "given"
    monkeypatch.setenv("HUB_DEMO_PASSWORD", "")
    assert stack._password(file) == "kept"


@pytest.mark.parametrize(("answers", "why"), [("provider", "would cost money"), ("", "no credentials yet")])
def test_no_demo_job_that_costs_money(answers: str, why: str) -> None:
    with pytest.raises(Fault, match=why):
        stack.play("127.0.0.1:1", "password", answers)


def test_a_demo_job_that_fails() -> None:
    with pytest.raises(Fault, match=r"The demo job failed: POST /auth/token/: .*refused"):
        stack.play(f"127.0.0.1:{free_port()}", "password", "sandbox")


# -- the first step -----------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["demo", "extra"]])
def test_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert boot.main(arguments) == 2
    assert capsys.readouterr().err.startswith("usage: ./hub up | demo |")


def test_no_python(clean_env: dict[str, str]) -> None:
    env = {**clean_env, "HUB_PYTHON": "/absent/python"}
    done = subprocess.run([ROOT / "hub", "up"], env=env, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("hub: Python 3.11 or newer is needed (tried: /absent/python)")


def test_down_with_nothing_to_end(clean_env: dict[str, str], tmp_path: Path) -> None:
    env = {**clean_env, "HUB_VAR": str(tmp_path / "absent"), "HUB_PYTHON": sys.executable}
    done = subprocess.run([ROOT / "hub", "down"], env=env, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(f"Nothing of HUB_VAR={tmp_path}/absent runs.\n")
    assert not (tmp_path / "absent").exists()


def test_a_stamp_is_of_its_lock_and_python(tmp_path: Path) -> None:
    lock, python = tmp_path / "a.lock", tmp_path / "bin" / "python"
    lock.write_text("one")
    python.parent.mkdir()
    python.symlink_to("/usr/bin/python3.11")
    assert not boot.is_done(tmp_path, lock)
    boot.stamp(tmp_path, lock).write_text(boot.digest(tmp_path, lock))
    assert boot.is_done(tmp_path, lock)
    lock.write_text("two")
    assert not boot.is_done(tmp_path, lock)
    lock.write_text("one")
    python.unlink()
    python.symlink_to("/usr/bin/python3.13")
    assert not boot.is_done(tmp_path, lock)


def test_the_telling_line() -> None:
    assert reason("one\nFATAL:  no room\nhint: more room.\n") == "FATAL:  no room"
    assert reason("one\ntwo.\n") == "two"
    assert reason("") == "it said nothing"


def test_what_was_compiled_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Also where Python is told to write none: beside the packages, never in the tree."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.delenv("PYTHONPYCACHEPREFIX", raising=False)
    (tmp_path / "mine.py").write_text("")

    boot.keep_bytecode(tmp_path / "venv")

    subprocess.run([sys.executable, "-c", "import mine"], cwd=tmp_path, check=True)
    (kept,) = (tmp_path / "venv" / "bytecode").rglob("mine.*.pyc")
    assert kept.relative_to(tmp_path / "venv" / "bytecode").parent == tmp_path.relative_to("/")
    assert not (tmp_path / "__pycache__").exists()
