"""kill -9 while the provider's moderation looks at an answer: it is paid once, and not read unseen."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from django.conf import settings

from ai_batch.models import Batch, LineResult
from ai_batch.services import chores, ingest, line_spool
from ai_core import pipeline
from ai_core.services import moderating, recovery, spooling
from ai_core.services.sessions import PROCESS
from ai_guard.services import policies
from ai_usage.models import LedgerEntry
from megahub.kernel import loop, spool
from megahub.kernel.errors import ProviderUnavailable
from tests import world
from tests.ai_batch.conftest import line, work
from tests.ai_core.test_recovery import dead_session
from tests.ai_guard.test_filter import found
from tests.conftest import Api
from tests.processes import Hub, wait_for
from tests.stubs import Scripted, chunk, completion
from tests.world import Cast
from tools.report import ROOT

pytestmark = pytest.mark.usefixtures("rung")
Provider = Callable[..., Scripted]
BLOCK = {"content_filter": "block", "moderation": True}
RUN = "import django; django.setup(); import time; from megahub.kernel import loop, scope; "
JOB = RUN + "from ai_core import pipeline; loop.run(pipeline.work({pk}))"
LINES = RUN + (
    "from ai_batch.services import engine\n"
    "with scope.everybody():\n    loop.run(engine.wake()); time.sleep(60)"  # killed by then
)


class Killed(BaseException):
    """Nothing of the process goes on behind it."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A spool of this test's own."""
    spooling.SPOOL.close()
    monkeypatch.setattr(settings, "HUB_SPOOL_DIR", str(tmp_path))
    yield tmp_path
    spooling.SPOOL.close()


def judging(monkeypatch: pytest.MonkeyPatch, *output: Any) -> list[str]:
    """What the moderation says of answers (an exception to raise, or categories); whom it was asked of."""
    asked: list[str] = []

    async def judged(company_id: int, text: str, images: Any, request_id: str) -> list[str]:
        if request_id.endswith("-input"):
            return []
        asked.append(request_id)
        if output and isinstance(output[0], BaseException):
            raise output[0]
        return list(output)

    monkeypatch.setattr(moderating, "categories", judged)
    return asked


def killed(cast: Cast, monkeypatch: pytest.MonkeyPatch, folder: Path) -> Any:
    """A job whose process died while the moderation looked at its answer."""
    judging(monkeypatch, Killed())
    job = world.submit(cast.alice, later=True)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(PROCESS, "session_id", dead_session(0).pk)
        loop.run(pipeline.work(job.pk))
    let_go(folder)
    return job


def let_go(folder: Path) -> None:
    """Let go of every lock, as the kernel does for the dead."""
    for path in spool.found(folder):
        twin = path.with_suffix(".twin")
        twin.write_bytes(path.read_bytes())
        twin.rename(path)


def records(folder: Path) -> list[bytes]:
    """All that lies there, unsealed."""
    kept = []
    for path in spool.found(folder):
        with spool.leftover(path) as left:
            kept += left.records
    return kept


class TestTakenUp:
    def test_an_answer_that_is_fine_is_told_and_paid_once(
        self, cast: Cast, provider: Provider, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        policies.change(cast.company.pk, BLOCK)
        scripted = provider(completion("heard"))
        job = killed(cast, monkeypatch, folder)
        assert world.row(job).status == "running"
        asked = judging(monkeypatch)

        recovery.reap()

        row = world.row(job)
        assert (row.status, row.attempt_no) == ("completed", 1)
        assert row.response["choices"][0]["message"]["content"] == "heard"
        assert [entry.kind for entry in world.ledger(job)] == ["settle"]
        assert len(scripted.calls) == 1
        assert asked == [f"{job.job_ref}-output"]
        assert spool.found(folder) == []

    @pytest.mark.parametrize(
        ("says", "code"),
        [("hate", "CONTENT_BLOCKED"), (ProviderUnavailable(provider="openai"), "CONTENT_UNCHECKED")],
    )
    def test_one_that_is_not_is_paid_and_read_by_nobody(
        self,
        cast: Cast,
        provider: Provider,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        says: Any,
        code: str,
    ) -> None:
        policies.change(cast.company.pk, BLOCK)
        scripted = provider(completion("a bad answer"))
        job = killed(cast, monkeypatch, folder)
        judging(monkeypatch, says)

        recovery.reap()

        row = world.row(job)
        assert (row.status, row.response, row.error["code"]) == ("failed", None, code)
        (entry,) = world.ledger(job)
        assert (entry.kind, entry.output_tokens, entry.is_success) == ("settle", 5, False)
        assert len(scripted.calls) == 1
        assert found(cast) == ([("output", "blocked", 1)] if says == "hate" else [])
        assert spool.found(folder) == []

    def test_what_the_filter_said_counts_whichever_file_is_read_first(
        self, cast: Cast, provider: Provider, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Killed after it was written down, and before the other file was gone."""
        policies.change(cast.company.pk, BLOCK)
        provider(completion("a bad answer"))
        job = killed(cast, monkeypatch, folder)
        (unseen,) = (spooling.unpack(record) for record in records(folder))
        said = replace(unseen, unseen=False, status="failed", phase="failed", response=None)

        assert unseen.key == (job.pk, 1)
        assert spooling._still_open([said, unseen]) == spooling._still_open([unseen, said]) == [said]

    def test_a_stream_of_which_only_words_are_forbidden(
        self, cast: Cast, provider: Provider, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its usage was told, and its process died before its end."""
        policies.change(cast.company.pk, {"content_filter": "block", "words": ["plan"]})
        usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}

        async def dies(*_: Any) -> list[Any]:
            return [chunk("the plan"), {**chunk(""), "choices": [], "usage": usage}, 0.01, "never"]

        class Dying(Scripted):
            async def stream(self, *asked: Any) -> Any:  # type: ignore[override]
                async for each in super().stream(*asked):
                    if each.data == "never":
                        raise Killed
                    yield each

        monkeypatch.setitem(pipeline.ADAPTERS, "openai", Dying(dies))
        job = world.submit(cast.alice, params={"stream": True})
        with pytest.raises(Killed):
            loop.run(pipeline.run(job))
        (kept,) = (spooling.unpack(record) for record in records(folder))
        assert kept.unseen

        seen = spooling._seen(kept)

        assert (seen.status, seen.response, seen.usage) == ("failed", None, kept.usage)
        assert seen.error is not None
        assert seen.error["code"] == "CONTENT_BLOCKED"
        assert spooling.SPOOL.settle(kept)


class TestOnTheDisk:
    def test_it_lies_there_for_as_long_as_it_is_looked_at(
        self, cast: Cast, provider: Provider, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Not until its settlement: what the filter has said is written down, and the answer is gone."""
        policies.change(cast.company.pk, BLOCK)
        provider(completion("a bad answer"))
        kept: list[bytes] = []

        async def judged(company_id: int, text: str, images: Any, request_id: str) -> list[str]:
            kept.extend(records(folder) if request_id.endswith("output") else [])
            return ["hate"] if "bad" in text else []

        monkeypatch.setattr(moderating, "categories", judged)
        job = world.submit(cast.alice, later=True)
        loop.run(pipeline.work(job.pk))

        (before,) = kept
        assert b"a bad answer" in before
        assert spooling.unpack(before).unseen
        left = records(folder)
        assert [spooling.unpack(record).status for record in left] == ["failed"]
        assert b"a bad answer" not in b"".join(left)

    def test_a_lines_too(self, api: Api, cast: Cast, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        line_spool.SPOOL.close()
        policies.change(cast.company.pk, BLOCK)
        kept: list[bytes] = []

        async def judged(company_id: int, text: str, images: Any, request_id: str) -> list[str]:
            kept.extend(records(line_spool.SPOOL.folder) if request_id.endswith("output") else [])
            return ["hate"] if request_id.endswith("output") else []

        monkeypatch.setattr(moderating, "categories", judged)
        batch = batch_of(api, cast)
        done = work(batch)

        assert (done.completed, done.failed) == (0, 1)
        (before,) = kept
        assert [end.unseen for end in line_spool.unpack(before)] == [True]
        assert b"echoes" in before
        assert b"echoes" not in b"".join(records(line_spool.SPOOL.folder))
        line_spool.SPOOL.close()


def batch_of(api: Api, cast: Cast) -> Batch:
    """One line, taken in."""
    asked = {"endpoint": "/v1/chat/completions", "requests": [line("a")], "engine": "hub"}
    answer = api.as_(cast.alice).post("/api/batch/create", asked)
    assert answer.status_code == 201, answer.text
    return Batch.objects.unscoped().get(batch_id=answer.json()["batch"]["id"])  # type: ignore[no-any-return]


class TestRealProcess:
    """A process of its own, on the suite's database; the sandbox's moderation keeps it waiting."""

    @pytest.fixture
    def hub(
        self, tmp_path: Path, sandbox_url: str, cast: Cast, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[Hub]:
        policies.change(cast.company.pk, BLOCK)
        spooled = str(tmp_path / "spool")
        monkeypatch.setattr(settings, "HUB_SPOOL_DIR", spooled)
        places = {"HUB_VAR": str(settings.VAR_DIR), "HUB_SPOOL_DIR": spooled}  # its files are the suite's
        yield Hub(tmp_path, sandbox_url, HUB_PROBE_SECONDS="60", **places)
        httpx2.delete(f"{sandbox_url}/sandbox/faults", trust_env=False)

    @staticmethod
    def stall(sandbox_url: str, after: int) -> None:
        """From the ``after``-th question on, the moderation keeps silent."""
        match = {"path": "moderations"}
        faults = [{"spec": "delay=1ms", "times": after, "match": match}] if after else []
        for fault in [*faults, {"spec": "delay=60s", "times": 9, "match": match}]:
            httpx2.post(f"{sandbox_url}/sandbox/faults", json=fault, trust_env=False).raise_for_status()

    @staticmethod
    def kill(hub: Hub, code: str, folder: Path) -> None:
        """Run ``code`` until it has spooled what is looked at, and kill it."""
        process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=hub.env)
        try:
            wait_for(lambda: any(b'"unseen":true' in record for record in records(folder)))
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()

    @pytest.mark.timeout(120)
    def test_a_job(self, hub: Hub, cast: Cast, sandbox_url: str) -> None:
        job = world.submit(cast.alice, later=True)
        self.stall(sandbox_url, 0)

        self.kill(hub, JOB.format(pk=job.pk), spooling.SPOOL.folder)
        httpx2.delete(f"{sandbox_url}/sandbox/faults", trust_env=False)
        recovery.reap()

        row = world.row(job)
        assert (row.status, row.attempt_no, row.unknown_attempts) == ("completed", 1, 0)
        assert [entry.kind for entry in world.ledger(job)] == ["settle"]
        assert spool.found(spooling.SPOOL.folder) == []

    @pytest.mark.timeout(120)
    def test_a_line_of_a_batch(self, hub: Hub, api: Api, cast: Cast, sandbox_url: str) -> None:
        batch = batch_of(api, cast)
        ingest.validate(batch.pk)
        self.stall(sandbox_url, 1)  # the first question is about what the line asks

        self.kill(hub, LINES, line_spool.SPOOL.folder)
        httpx2.delete(f"{sandbox_url}/sandbox/faults", trust_env=False)
        chores.tend()

        row = batch.lines.get()
        assert (row.status, row.attempt_no, row.unknown) == ("completed", 1, 0)
        assert LineResult.objects.filter(batch=batch, is_error=False).count() == 1
        kinds = LedgerEntry.objects.of(cast.company.pk).values_list("kind", flat=True)
        assert list(kinds) == ["settle"]
        assert spool.found(line_spool.SPOOL.folder) == []
