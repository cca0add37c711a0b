"""One trouble at a time, with real processes: ``./hub chaos --scenario provider-down | broker-down | …``.

Each promise has its figure, and the judge looks at the whole afterwards. ``all`` plays them one after
the other on one stage; the defaults are short, the promises' own figures are in docs/reliability.md.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from statistics import quantiles

from tools import places
from tools.chaos import calm, evidence, judge, stage, stopping
from tools.chaos.callers import PATIENCE_SECONDS, Callers, How, Operation, Seen
from tools.chaos.calm import count
from tools.chaos.stage import Stage
from tools.launch import Launch
from tools.report import say
from tools.watch import Watch

Row = tuple[str, object]
COMPLETED = "SELECT count(*) AS n FROM ai_core_aijob WHERE status = 'completed'"
LEASE_SECONDS = 6.0
#: Few enough jobs at once in each that all of the workers have some.
WORKERS, SLOTS = 4, 3
#: A breaker's longest rest here: the shorter it is, the more calls a provider that is down gets.
BREAKER_MOST_SECONDS = 60.0
MOST_CALLS = 40
BACK_WITHIN_SECONDS = 60.0
TIMES_SLOWER = 2.0


@dataclass
class Played:
    """``asked`` numbers the operations; ``rows`` is the table; ``broken`` what was promised otherwise."""

    stage: Stage
    options: argparse.Namespace
    asked: int = 0
    history: list[Seen] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def send(self, jobs: int, seconds: float, *, delay_ms: int = 0, how: How = "later") -> list[Seen]:
        """So many jobs of one company over so many seconds; what their callers saw."""
        own = {"demo": self.stage.tokens["demo"]}
        calling = Callers(self.stage.url, self.options.seed, own, LEASE_SECONDS + PATIENCE_SECONDS)
        numbers = range(self.asked, self.asked + jobs)
        self.asked += jobs
        work = calling.carry_out([Operation(n, "demo", how, delay_ms) for n in numbers], seconds)
        done = asyncio.run_coroutine_threadsafe(work, self.stage.background.loop)
        self.stage.watch_until(done.done, seconds + calling.patience_seconds)
        done.result(timeout=1)
        self.history += calling.history
        return calling.history

    def expect(self, what: str, found: float, most: float) -> None:
        """A row, and an offence where it is more."""
        self.rows.append((f"{what} (at most {most:g})", f"{found:g}"))
        if found > most:
            self.broken.append(f"{what}: {found:g}, at most {most:g} were promised")

    def wait_for_jobs(self, seconds: float) -> float:
        """How long it took until every job had ended."""
        watch = Watch()
        self.stage.watch_until(lambda: not count(self.stage.judges_url, calm.OPEN_JOBS), seconds)
        return watch.seconds


def provider_down(played: Played) -> None:
    """It answers 503 to whatever it is asked, while jobs wait."""
    options, built = played.options, played.stage
    jobs, seconds = options.jobs or 60, 60 * (options.minutes or 0.15)
    proxy, before = built.proxies["provider"], count(built.judges_url, COMPLETED)
    built.change_weather("provider", "down")
    watch = Watch()
    played.send(jobs, min(20.0, seconds / 2))
    built.watch_until(lambda: watch.seconds > seconds, seconds)
    refused = proxy.refused
    built.change_weather("provider", None)
    took = played.wait_for_jobs(2 * BREAKER_MOST_SECONDS + calm.REAPED_WITHIN_SECONDS + jobs / 5)
    completed = count(built.judges_url, COMPLETED) - before
    played.rows += [("provider down, seconds", round(seconds)), ("jobs that waited", jobs)]
    played.expect("calls into a provider that is down", refused, MOST_CALLS)
    played.expect("of these jobs not completed after", jobs - completed, 0)
    played.rows.append(("all had ended after its return, seconds", round(took, 1)))


def broker_down(played: Played) -> None:
    """It is killed and stays away; what is accepted meanwhile runs when it is back."""
    options, built = played.options, played.stage
    jobs, seconds = options.jobs or 100, 60 * (options.minutes or 0.07)
    name = built.broker_program
    if not name:
        say("A broker of files is never down.")
        return
    played.send(jobs // 4, seconds / 4)  # warm
    normal = slowest(played.send(jobs, seconds))
    built.supervisor.hold(name)
    without = slowest(played.send(jobs, seconds))
    waiting = count(built.judges_url, calm.OPEN_JOBS)
    built.supervisor.let_go(name)
    took = played.wait_for_jobs(2 * BACK_WITHIN_SECONDS)
    played.rows += [
        ("broker down, seconds", round(seconds)),
        ("jobs accepted meanwhile", jobs),
        ("of these waiting at its return", waiting),
        ("p99 of accepting with it, ms", round(1000 * normal, 1)),
        ("p99 of accepting without it, ms", round(1000 * without, 1)),
    ]
    if options.minutes:  # a short play on a machine with other work says nothing of a percentile
        played.expect("p99 without it, times that with it", round(without / normal, 2), TIMES_SLOWER)
    played.expect("all had run after its return, seconds", round(took, 1), BACK_WITHIN_SECONDS)


def stopped(played: Played) -> None:
    """Workers are stopped in mid-call for longer than their lease, and then go on."""
    wanted = played.options.stops or 3
    found = stopping.Stops()
    while found.stops < wanted:
        played.send(WORKERS * SLOTS, 0.5, delay_ms=stopping.CALL_MS)
        stopping.wave(played.stage, found, min(wanted - found.stops, WORKERS - 1), LEASE_SECONDS)
        played.wait_for_jobs(LEASE_SECONDS + calm.REAPED_WITHIN_SECONDS)
    own, late = found.settled(played.stage.judges_url), found.late(played.stage.judges_url)
    played.rows += [("stops for longer than a lease", found.stops), ("calls under way", len(found.held))]
    played.expect("late writes", own, 0)
    played.rows.append(("late costs recorded", late))
    played.expect("late costs not recorded", len(found.held) - late, 0)


SCENARIOS: dict[str, Callable[[Played], None]] = {
    "stopped": stopped,
    "broker-down": broker_down,
    "provider-down": provider_down,
}


def slowest(history: list[Seen]) -> float:
    """The 99th percentile of how long a caller waited for its definite answer, in seconds."""
    asked: dict[int, float] = {}
    waited = []
    for seen in history:
        if seen.type == "invoke":
            asked.setdefault(seen.op, seen.at)
        elif seen.type == "ok":
            waited.append(seen.at - asked[seen.op])
    return quantiles(waited, n=100)[98]


def add_options(parser: argparse.ArgumentParser) -> None:
    """What only scenarios know."""
    parser.add_argument("--scenario", choices=[*SCENARIOS, "all"], help="one trouble at a time")
    parser.add_argument("--minutes", type=float, help="how long provider or broker are down")


def main(options: argparse.Namespace) -> int:
    """The exit code: 0 when all was as promised."""
    names = list(SCENARIOS) if options.scenario == "all" else [options.scenario]
    folder = places.var_folder() / "chaos"
    shutil.rmtree(folder, ignore_errors=True)
    ground = stage.Ground(options.broker, WORKERS)
    more = stage.leases(LEASE_SECONDS) | {
        "HUB_BREAKER_MOST_SECONDS": str(BREAKER_MOST_SECONDS),
        "HUB_JOB_SLOTS": str(SLOTS),
    }
    with Launch(folder) as launch:
        built = stage.build(launch, options.seed, 10**6, more, ground)
        with closing(built):
            played = Played(built, options)
            for name in names:
                say(f"Scenario {name}.")
                SCENARIOS[name](played)
            calm.calm_down(built, LEASE_SECONDS, played.asked)
            log, taken = built.provider_log, built.receiver.taken
            found = evidence.gather(built.judges_url, played.history, log, taken)
    offences = judge.judge(found)
    print(_report(names, ground, played, offences))
    return int(bool(played.broken) or any(offences.values()))


def _report(names: list[str], ground: stage.Ground, played: Played, offences: dict[str, list[str]]) -> str:
    title = f"{', '.join(names)}, broker {ground.broker or 'of the place'}"
    rows = [*played.rows, *((f"**{name}**", f"**{len(found)}**") for name, found in offences.items())]
    lines = [f"\n### Chaos: {title}\n", "| what | number |", "|---|--:|"]
    lines += [f"| {what} | {number} |" for what, number in rows]
    lines += [f"- {line}" for line in played.broken]
    lines += [f"- {name}: {line}" for name, found in offences.items() for line in found[:5]]
    return "\n".join(lines)
