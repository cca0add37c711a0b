"""Batches from a terminal: ``manage.py batch``, and ``clients/python`` over the API with a key."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from ai_batch.models import Batch, StoredFile
from ai_batch.services import results
from tests.ai_batch.conftest import jsonl, line, work
from tests.conftest import Api
from tests.world import Cast

pytestmark = pytest.mark.usefixtures("rung", "live_url")
CLIENT = Path(__file__).resolve().parent.parent.parent / "clients" / "python"
BAD = "no [sandbox: refuse_param=max_tokens]"


def said(*arguments: str) -> str:
    out = io.StringIO()
    call_command("batch", *arguments, stdout=out, stderr=out)
    return out.getvalue()


@contextmanager
def a_worker(cast: Cast) -> Iterator[None]:
    """Somebody who works on the company's batches as they come."""
    done = threading.Event()

    def go_on() -> None:
        while not done.wait(0.05):
            for batch in Batch.objects.of(cast.company.pk).filter(status="validating"):
                work(batch)
        connection.close()

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def test_it_works(cast: Cast, tmp_path: Path) -> None:
    name = cast.alice.user.username
    file = tmp_path / "b.jsonl"
    file.write_bytes(jsonl(line("a"), line("b")))
    with a_worker(cast):
        told = said("submit", str(file), "--user", name, "--engine", "hub", "--name", "Mine", "--watch")
    batch = Batch.objects.of(cast.company.pk).get()
    assert (
        told.split()
        == f"{batch.batch_id} completed 2 of 2, 0 failed 0.000000 USD Mine".replace(
            "0.000000", told.split()[-3]
        ).split()
    )
    assert (batch.created_by_id, batch.brand_id) == (cast.alice.user.pk, cast.brand.pk)
    assert batch.batch_id in said("list", "--user", name)
    assert said("list", "--user", name, "--status", "failed") == ""
    assert said("get", batch.batch_id, "--user", name) == told
    to = tmp_path / "out.jsonl"
    assert said("download", batch.batch_id, "--user", name, "--to", str(to)).startswith(f"{to}: ")
    assert [json.loads(each)["custom_id"] for each in to.read_text().splitlines()] == ["a", "b"]
    said("download", batch.batch_id, "--user", name, "--to", str(to), "--format", "xlsx")
    assert to.read_bytes().startswith(b"PK")


def test_a_batch_that_goes_badly_fails_the_command(cast: Cast, tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text(f"prompt,max_tokens\nHello,20\n{BAD},20\n")
    order = ["submit", str(file), "--user", cast.alice.user.username, "--engine", "hub", "--watch"]
    with a_worker(cast), pytest.raises(CommandError, match="Not every request"):
        said(*order, "--model", "gpt-4o-mini")
    assert Batch.objects.of(cast.company.pk).get().total == 2


def test_cancel(cast: Cast, tmp_path: Path) -> None:
    file = tmp_path / "b.jsonl"
    file.write_bytes(jsonl(line("a")))
    name = cast.alice.user.username
    ref = said("submit", str(file), "--user", name).split()[0]
    assert said("cancel", ref, "--user", name).split()[:2] == [ref, "cancelling"]
    with pytest.raises(CommandError, match="No batch found"):
        said("get", ref, "--user", cast.charlie.user.username)


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        (["list", "--user", "nobody"], "no active user 'nobody'"),
        (["list", "--user", "{alice}", "--brand", "1x"], "rand"),
        (["submit", "nowhere.jsonl", "--user", "{alice}"], "No such file"),
        (["submit", __file__, "--user", "{alice}", "--template", __file__], "JSON"),
    ],
)
def test_bad_orders(cast: Cast, order: list[str], reason: str) -> None:
    with pytest.raises(CommandError, match=reason):
        said(*(each.format(alice=cast.alice.user.username) for each in order))
    assert not StoredFile.objects.of(cast.company.pk).exists()


def run(api: Api, key: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "megahub_batch", "--url", api.url, "--every", "0.1", *arguments]
    environment: dict[str, Any] = {"MEGAHUB_API_KEY": key, "PYTHONPATH": str(CLIENT)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_the_client_over_the_api(api: Api, cast: Cast, tmp_path: Path) -> None:
    file, out = tmp_path / "b.jsonl", tmp_path / "out.jsonl"
    file.write_bytes(jsonl(line("a"), line("b", BAD)))
    key = cast.alice.api_key()
    tried = run(api, key, "validate", str(file))
    assert (tried.returncode, tried.stdout.split(" at most ")[0]) == (0, "2 requests,"), tried.stderr
    with a_worker(cast):
        order = ["submit", str(file), "--engine", "hub", "--name", "Mine", "--watch", "--to", str(out)]
        done = run(api, key, *order)
    batch = Batch.objects.of(cast.company.pk).get()
    assert (done.returncode, done.stdout.split()[:2]) == (1, [batch.batch_id, "completed"]), done.stderr
    assert "completed" in done.stderr  # the bar
    assert [json.loads(each)["custom_id"] for each in out.read_text().splitlines()] == ["a"]
    assert batch.batch_id in run(api, key, "list").stdout
    errors = tmp_path / "errors.csv"
    order = ["download", batch.batch_id, "--type", "error", "--format", "csv", "--to", str(errors)]
    assert run(api, key, *order).returncode == 0
    assert "max_tokens" in errors.read_text()
    again = run(api, key, "retry", batch.batch_id)
    assert (again.returncode, Batch.objects.of(cast.company.pk).count()) == (0, 2), again.stderr
    assert "cancelling" in run(api, key, "cancel", again.stdout.split()[0]).stdout


def test_errors_of_a_provider_that_names_no_line(api: Api, cast: Cast, tmp_path: Path) -> None:
    file, name = tmp_path / "b.jsonl", cast.alice.user.username
    file.write_bytes(jsonl(line("a")))
    ref = said("submit", str(file), "--user", name).split()[0]
    Batch.objects.of(cast.company.pk).update(status="failed", errors=[{"message": "No quota."}])
    assert said("get", ref, "--user", name).endswith("line -: No quota.\n")
    done = run(api, cast.alice.api_key(), "get", ref)
    assert (done.returncode, done.stderr) == (1, "line -: No quota.\n")


def test_a_download_that_fails_leaves_nothing(
    cast: Cast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, name, folder = tmp_path / "b.jsonl", cast.alice.user.username, tmp_path / "out"
    file.write_bytes(jsonl(line("a")))
    folder.mkdir()
    ref = said("submit", str(file), "--user", name).split()[0]

    def breaks(*_: Any, **__: Any) -> Iterator[bytes]:
        yield b"{}"
        raise OSError("no room")

    monkeypatch.setattr(results, "as_jsonl", breaks)
    with pytest.raises(CommandError, match="no room"):
        said("download", ref, "--user", name, "--to", str(folder / "out.jsonl"))
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("header", "content"),
    [(("Content-Length", "10"), b"abc"), (("Transfer-Encoding", "chunked"), b"5\r\nab")],
)
def test_a_download_that_breaks_off_is_no_file(
    tmp_path: Path, header: tuple[str, str], content: bytes
) -> None:
    class Breaking(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header(*header)
            self.end_headers()
            self.wfile.write(content)
            self.close_connection = True

    with HTTPServer(("127.0.0.1", 0), Breaking) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        out = tmp_path / "out.jsonl"
        address = f"http://127.0.0.1:{server.server_port}"
        done = run(Api(address), "mh_x", "download", "batch_1", "--to", str(out))
        thread.join()
    assert (done.returncode, done.stdout, list(tmp_path.iterdir())) == (2, "", [])
    assert "Traceback" not in done.stderr


def test_the_client_says_what_is_wrong(api: Api, cast: Cast, tmp_path: Path) -> None:
    file = tmp_path / "b.jsonl"
    file.write_bytes(jsonl(line("a", temperature=9)) + b"{oops\n")
    tried = run(api, cast.alice.api_key(), "validate", str(file))
    assert (tried.returncode, tried.stdout.splitlines()[-1]) == (1, "2 errors")
    assert tried.stdout.startswith("line 1: body.temperature ")
    refused = run(api, "mh_wrong", "list")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert run(api, "", "list").stderr == "No key: set MEGAHUB_API_KEY, or pass --key.\n"
    dead = run(Api("http://127.0.0.1:9"), "mh_x", "list")
    assert (dead.returncode, "does not answer" in dead.stderr) == (2, True)
