"""``./hub chaos``: break a hub for a while, wait until it has calmed down, and judge what is left.

It prints its seed; the same seed, seconds and amounts play the same blows and the same requests again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import shutil
import time
from collections import Counter
from contextlib import closing
from dataclasses import asdict, fields
from pathlib import Path

from tools import places
from tools.chaos import blows, callers, calm, evidence, judge, scenarios, stage
from tools.chaos.callers import Callers
from tools.chaos.plan import Amounts, plan
from tools.chaos.stage import Stage
from tools.launch import Launch
from tools.report import say

SHOWN = 5
#: The short run is in CI; the long one has the figures of the promises.
SHORT_RUN = {"seconds": 30.0, "jobs": 200, "lease": 8.0}
LONG_RUN = {"seconds": 500.0, "jobs": 10_000, "lease": 45.0}
SHORT = Amounts(
    kills=10, stops=3, long_stops=1, flushes=2, broker_restarts=1, database_restarts=1, weathers=3
)
LONG = Amounts(
    kills=200, stops=40, long_stops=10, flushes=20, broker_restarts=20, database_restarts=20, weathers=40
)


def main(arguments: list[str]) -> int:
    """The exit code: 0 when no rule was broken."""
    options = _parse(arguments)
    stage.check_environment()
    if options.scenario:
        return scenarios.main(options)
    amounts = Amounts(**{f.name: getattr(options, f.name) for f in fields(Amounts)})
    folder = places.var_folder() / "chaos"
    say(f"Seed {options.seed}: {options.jobs} jobs in {options.seconds:g} s (play it again with --seed).")
    shutil.rmtree(folder, ignore_errors=True)
    with Launch(folder) as launch:
        ground = stage.Ground(options.broker)
        built = stage.build(launch, options.seed, options.jobs // 4, stage.leases(options.lease), ground)
        with closing(built):
            hand, history = _break(built, options, amounts)
            calm.calm_down(built, options.lease, options.jobs)
            log, taken = built.provider_log, built.receiver.taken
            found = evidence.gather(built.judges_url, history, log, taken)
    offences = judge.judge(found)
    report = _report(options, hand.done, found, offences)
    _keep(folder, history, offences, report)
    print(report)
    return int(any(offences.values()))


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="hub chaos", description=__doc__)
    parser.add_argument("--broker", choices=["redis", "rabbitmq", "files"])
    scenarios.add_options(parser)
    parser.add_argument("--long", action="store_true", help="200 kills, 10,000 jobs, 8 minutes")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--jobs", type=int)
    parser.add_argument("--lease", type=float, help="seconds after which a silent process is given up")
    for each in fields(Amounts):
        parser.add_argument(f"--{each.name.replace('_', '-')}", type=int)
    options = parser.parse_args(arguments)
    if options.scenario:
        return options
    for name, value in (
        {**LONG_RUN, **asdict(LONG)} if options.long else {**SHORT_RUN, **asdict(SHORT)}
    ).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


def _break(
    built: Stage, options: argparse.Namespace, amounts: Amounts
) -> tuple[blows.Hand, list[callers.Seen]]:
    """The callers and the blows side by side; what was done, and what the callers saw."""
    calling = Callers(built.url, options.seed, built.tokens, options.lease + callers.PATIENCE_SECONDS)
    asked = list(callers.operations(options.seed, options.jobs, sorted(built.tokens)))
    hand = blows.Hand(built.supervisor, built.change_weather, built.broker_url)
    servers = frozenset(built.proxies)
    struck = plan(options.seed, options.seconds, amounts, servers, options.lease)
    built.receiver.fails = 0.7
    work = calling.carry_out(asked, options.seconds)
    done = asyncio.run_coroutine_threadsafe(work, built.background.loop)
    began = time.monotonic()
    hand.strike(struck, lambda: done.done() or time.monotonic() - began > options.seconds)
    built.receiver.fails = 0.0
    built.watch_until(done.done, calling.patience_seconds + callers.ANSWER_SECONDS)
    done.result(timeout=1)
    return hand, calling.history


def _report(
    options: argparse.Namespace,
    done: Counter[str],
    found: evidence.Evidence,
    offences: dict[str, list[str]],
) -> str:
    ended = Counter(job["status"] for job in found.jobs)
    phases = Counter(row["phase"] for row in found.attempts)
    unsure = len({seen.op for seen in found.history if seen.type == "info"})
    lines = [f"\n### Chaos, seed {options.seed}, {options.seconds:g} s\n", "| what | number |", "|---|--:|"]
    numbers: list[tuple[str, object]] = [
        *((what, count) for what, count in sorted(done.items())),
        ("operations asked", options.jobs),
        ("of these once without a definite answer", unsure),
        ("jobs", len(found.jobs)),
        *((f"jobs {status}", count) for status, count in sorted(ended.items())),
        ("calls to the provider", len(found.calls)),
        *((f"attempts {phase}", count) for phase, count in sorted(phases.items())),
        ("webhooks taken", found.taken.total()),
        *((f"**{name}**", f"**{len(lines)}**") for name, lines in offences.items()),
    ]
    lines += [f"| {what} | {count} |" for what, count in numbers]
    for name, told in offences.items():
        lines += [f"- {name}: {line}" for line in told[:SHOWN]]
    return "\n".join(lines)


def _keep(folder: Path, history: list[callers.Seen], offences: dict[str, list[str]], report: str) -> None:
    """What was seen and found, beside the logs of the processes."""
    seen = "".join(json.dumps(asdict(each)) + "\n" for each in history)
    (folder / "history.jsonl").write_text(seen)
    (folder / "offences.json").write_text(json.dumps(offences, indent=1))
    (folder / "report.md").write_text(report + "\n")
