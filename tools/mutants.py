"""Take away one mechanism at a time, and see that a test goes red: ``./hub mutants [name …]``.

Each mutant is a small change to a copy of the sources under ``HUB_VAR/mutants``; the quickest test that
should notice it runs there, on SQLite unless the mechanism is PostgreSQL's. First all of these run on the
copy as it is, where they must be green. The exit code is 1 when a mutant lives.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tools import places
from tools.report import ROOT, Fault, say

#: Of what pytest said of a mutant that lives, so much is shown.
TOLD = 3_000
RECOVERY = "tests/ai_core/test_recovery.py"
SPOOLING = "tests/ai_core/test_spooling.py"
SETTLE = "ai_core/services/settle.py"
NOT_FOR_THEM = ("HUB_", "AI_", "DATABASE_URL", "REDIS_URL")


@dataclass(frozen=True)
class Mutant:
    """A mechanism, what stands for it in a file, what is put there instead, and the tests that notice."""

    name: str
    file: str
    before: str
    after: str
    tests: tuple[str, ...]
    #: Where the mechanism is: what SQLite has no need of is tried beside servers, as ``./hub test`` does.
    on_postgres: bool = False


MUTANTS = (
    Mutant(
        "the fence",
        SETTLE,
        """AND ai_core_aijob.status = 'running'"
    " AND ai_core_aijob.attempt_no = r.attempt_no RETURNING""",
        """AND ai_core_aijob.status = 'running'"
    " RETURNING""",
        (f"{RECOVERY}::TestFence::test_a_late_answer_does_not_end_the_attempt_that_runs",),
    ),
    Mutant(
        "the unique constraint",
        "ai_usage/migrations/0008_ledger_indexes.py",
        " WHERE kind IN ('settle', 'void', 'manual')",
        " WHERE kind IN ('manual')",
        ("tests/ai_usage/test_ledger_rules.py::test_a_job_is_closed_once",),
    ),
    Mutant(
        "the outbox",
        SETTLE,
        "        outbox.record(session, [row for e in own if e.wanted for row in _told(e)])\n",
        "",
        ("tests/delivery/test_relay.py::test_a_failed_job",),
    ),
    Mutant(
        "the conditional update",
        "ai_usage/services/budgets.py",
        """spent - forgiven + reserved + unknown_exposure + %s <= b."limit")""",
        "%s >= 0)",
        ("tests/ai_usage/test_budgets.py::test_a_limit_of_zero_means_zero",),
    ),
    Mutant(
        "the lock of a rate limit's bucket",
        "ai_usage/services/rate_rows.py",
        "        read = READ + session.for_update\n",
        "        read = READ\n",
        ("tests/ai_usage/test_rate_limits.py::TestExactness",),
        on_postgres=True,
    ),
    Mutant(
        "the look of an open stream",
        "megahub/tenancy/authentication.py",
        "            if (refusal := await _refusal(request, needed)) is not None:\n",
        "            if (refusal := None) is not None:\n",
        ("tests/security/test_requirement_04_revocation.py",),
    ),
    Mutant(
        "the spool",
        "ai_core/services/process_spool.py",
        "            return self._spool().put(self.pack(ended))\n",
        "            return None\n",
        (f"{SPOOLING}::TestWriting::test_the_answer_is_spooled_before_it_is_settled",),
    ),
    Mutant(
        "the spool's replay",
        "ai_core/services/recovery.py",
        "    spooling.SPOOL.replay()\n",
        "",
        (f"{SPOOLING}::TestReplay::test_a_killed_process_is_settled_without_another_call",),
    ),
    Mutant(
        "the late cost",
        SETTLE,
        "        if used:\n",
        "        if False:\n",
        (f"{RECOVERY}::TestFence::test_a_late_cost_counts_once",),
    ),
    Mutant(
        "the unknown exposure",
        SETTLE,
        'Charge(exposes=int(self.phase == "unknown"))',
        "Charge()",
        (f"{RECOVERY}::TestReaper::test_an_unknown_outcome_takes_room_until_it_expires",),
    ),
    Mutant(
        "the one repeat",
        "ai_core/domain/retry.py",
        "MAX_UNKNOWN_REPEATS = 1",
        "MAX_UNKNOWN_REPEATS = 9",
        (f"{RECOVERY}::TestReaper::test_a_job_lost_twice_ends_with_an_unknown_outcome",),
    ),
    Mutant(
        "the claim's condition",
        "ai_core/services/claim.py",
        " AND status = 'pending' AND run_at <= %s",
        " AND run_at <= %s",
        ("tests/ai_core/test_run_later.py::test_a_bell_that_rings_twice_runs_the_job_once",),
    ),
    Mutant(
        "the breaker",
        "ai_core/services/gates.py",
        "self.probes or (self.key not in _shut and self.health.is_bad(now))",
        "self.probes",
        ("tests/ai_core/test_gates.py::TestBreaker::test_a_provider_that_is_down_is_left_alone",),
    ),
    Mutant(
        "the turns",
        "ai_core/services/turns.py",
        "ORDER BY t.turn, t.company_id <= %s, t.company_id LIMIT %s",
        "ORDER BY t.id, t.company_id <= %s LIMIT %s",
        ("tests/ai_core/test_turns.py::test_companies_take_turns",),
    ),
    Mutant(
        "the relay",
        "ai_core/services/recovery.py",
        """        if AIJob.objects.unscoped().filter(pk=job.pk, ring_at=job.ring_at).update(ring_at=again):
""",
        "        if False:\n",
        (f"{RECOVERY}::TestRelay::test_a_lost_bell_is_rung_again",),
    ),
    Mutant(
        "the reaper",
        "ai_core/services/recovery.py",
        "sum(_taken_back(attempt) for attempt in found",
        "sum(False for attempt in found",
        (f"{RECOVERY}::TestReaper::test_a_lost_job_is_run_again_once",),
    ),
    Mutant(
        "no repeat of what may have acted",
        "ai_core/domain/retry.py",
        "    return kinds <= WRITTEN_ONLY\n",
        "    return True\n",
        (f"{RECOVERY}::TestReaper::test_tools_that_act_are_not_called_twice",),
    ),
    Mutant(
        "the repeat at another key",
        "ai_core/pipeline.py",
        "    job.unknown_attempts += moved and failed.outcome_unknown\n",
        "",
        (
            "tests/ai_core/test_routing.py::TestFallingOver"
            "::test_a_call_that_may_have_been_done_is_repeated_once_in_all",
        ),
    ),
    Mutant(
        "the cancel's flag",
        "ai_core/services/claim.py",
        """ AND attempt_no = %s"
    " AND cancel_requested_at IS NULL RETURNING company_id""",
        """ AND attempt_no = %s"
    " RETURNING company_id""",
        ("tests/ai_core/test_run_later.py::test_a_job_cancelled_while_its_call_fails_is_not_given_back",),
    ),
)


def main(names: list[str], mutants: tuple[Mutant, ...] = MUTANTS) -> int:
    """The exit code: 1 when a mutant lives. Raises Fault for a name that is none."""
    if unknown := set(names) - {mutant.name for mutant in mutants}:
        raise Fault(f"no mutant is called {', '.join(sorted(unknown))}")
    chosen = [mutant for mutant in mutants if not names or mutant.name in names]
    folder = places.var_folder() / "mutants"
    copy = folder / "hub"
    _copy(copy)
    began = time.monotonic()
    for on_postgres in sorted({mutant.on_postgres for mutant in chosen}):
        of_these = [mutant for mutant in chosen if mutant.on_postgres is on_postgres]
        tests = sorted({test for mutant in of_these for test in mutant.tests})
        code, seconds, told = _run(copy, folder, tests, on_postgres)
        if code:
            print(told)
            say("The tests are red without a mutant.")
            return 1
        say(f"{len(tests)} tests are green in {seconds:.0f} s.")
    print("| taken away | verdict | noticed by | took |\n|---|---|---|--:|")
    lives = [mutant.name for mutant in chosen if not _dies(mutant, copy, folder)]
    say(f"{len(chosen)} mutants, {len(lives)} live, {time.monotonic() - began:.0f} s in all.")
    return 1 if lives else 0


def _dies(mutant: Mutant, copy: Path, folder: Path) -> bool:
    """Run one mutant; a row of the table."""
    path = copy / mutant.file
    whole = path.read_text()
    if whole.count(mutant.before) != 1:
        raise SystemExit(f"{mutant.file} does not hold what stands for {mutant.name} once.")
    path.write_text(whole.replace(mutant.before, mutant.after))
    try:
        code, seconds, told = _run(copy, folder, list(mutant.tests), mutant.on_postgres)
    finally:
        path.write_text(whole)
    noticed = [line.split(" ")[1] for line in told.splitlines() if line.startswith("FAILED ")]
    by = noticed[0].rpartition("::")[2] if noticed else "nothing"
    print(
        f"| {mutant.name} | {'dies' if code == 1 and noticed else 'LIVES'} | {by} | {seconds:.0f} s |",
        flush=True,
    )
    dies = code == 1 and bool(noticed)
    if not dies:
        print(told[-TOLD:], file=sys.stderr, flush=True)
    return dies


def _run(copy: Path, folder: Path, tests: list[str], on_postgres: bool) -> tuple[int, float, str]:
    """pytest's exit code, how long it took, and what it said."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(NOT_FOR_THEM)}
    env = kept | {"HUB_VAR": str(folder / "var")}
    runner = ["tools.stack", "test"]
    if not on_postgres:
        runner = ["pytest"]
        env |= {"DATABASE_URL": f"sqlite:///{folder / 'mutants.sqlite3'}", "REDIS_URL": ""}
    command = [sys.executable, "-m", *runner, "-q", "-x", "-p", "no:cacheprovider", *tests]
    began = time.monotonic()
    ran = subprocess.run(command, cwd=copy, env=env, capture_output=True, text=True, check=False)
    return ran.returncode, time.monotonic() - began, ran.stdout + ran.stderr


def _copy(copy: Path) -> None:
    """The sources as they are now, without what is generated."""
    shutil.rmtree(copy.parent, ignore_errors=True)
    unwanted = shutil.ignore_patterns(".git", "var", "__pycache__", "*.pyc", ".*_cache", "node_modules")
    shutil.copytree(ROOT, copy, ignore=unwanted)
