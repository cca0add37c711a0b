"""A hub on several hosts, of which one after another is cut off: ``./hub hosts`` (Linux, root).

Each host is a network namespace on a bridge: the servers on one, the provider on another, web with beat,
and two workers. They share no spool, and reach each other over TCP only. A cut takes the host's cable
out: nothing is refused, packets are lost, and connections are half open, as between machines. The judge
of ``./hub chaos`` looks at what is left. All of it is in a namespace of its own and ends with it.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from tools import keys, places, postgres, processes, services
from tools.chaos import calm, evidence, judge, receiver, stage
from tools.chaos.blows import Tireless
from tools.chaos.callers import PATIENCE_SECONDS, Callers, operations
from tools.chaos.receiver import Receiver
from tools.chaos.stage import Background, Stage
from tools.client import Client, NoAnswer
from tools.launch import READY_SECONDS, Launch
from tools.processes import Program
from tools.report import Fault, reason, say
from tools.watch import Watch

NET = "10.77.0"
OURS = f"{NET}.1"
HOSTS = {
    "data": f"{NET}.2",
    "provider": f"{NET}.3",
    "web": f"{NET}.4",
    "worker": f"{NET}.5",
    "worker-2": f"{NET}.6",
}
PORTS = {"provider": 9100, "web": 8000, "hook": 9200}
LEASE_SECONDS = 8.0
#: Who is cut off, and for how long: a worker for longer than its lease, the others for a while.
CUTS = {"worker-2": 20.0, "web": 8.0, "data": 10.0}
PAUSE_SECONDS = 10.0


def main(arguments: list[str]) -> int:
    """The exit code: 0 when nothing was lost or doubled."""
    parser = argparse.ArgumentParser(prog="hub hosts", description=__doc__)
    parser.add_argument("--jobs", type=int, default=400)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--cut", nargs="*", choices=CUTS, default=list(CUTS))
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if not options.inside:
        command = ["unshare", "--net", "--mount", *services.module("tools.hosts", "--inside", *arguments)]
        return subprocess.run(command, check=False).returncode
    _lay_cables()
    folder = places.var_folder() / "hosts"
    shutil.rmtree(folder, ignore_errors=True)
    stage.check_environment()
    with Launch(folder) as launch:
        built = _build(launch, options.seed)
        with closing(built):
            calling = Callers(built.url, options.seed, built.tokens, 2 * LEASE_SECONDS + PATIENCE_SECONDS)
            cut = _play(built, calling, options)
            calm.calm_down(built, LEASE_SECONDS, options.jobs)
            log, taken = built.provider_log, built.receiver.taken
            found = evidence.gather(built.judges_url, calling.history, log, taken)
    offences = judge.judge(found)
    print(_report(options, cut, found, offences))
    return int(any(offences.values()))


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Fault(f"ip {' '.join(arguments)}: {reason(done.stderr)}.")


def _lay_cables() -> None:
    """A bridge, and a namespace with a cable to it for each host. Raises Fault."""
    Path("/run/netns").mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", "/run/netns"], check=True)
    _ip("link", "set", "lo", "up")
    _ip("link", "add", "bridge", "type", "bridge")
    _ip("addr", "add", f"{OURS}/24", "dev", "bridge")
    _ip("link", "set", "bridge", "up")
    for name, address in HOSTS.items():
        _ip("netns", "add", name)
        _ip("link", "add", f"to-{name}", "type", "veth", "peer", "name", "eth0", "netns", name)
        _ip("link", "set", f"to-{name}", "master", "bridge", "up")
        _ip("-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
        _ip("-n", name, "link", "set", "eth0", "up")
        _ip("-n", name, "link", "set", "lo", "up")


def _on(host: str, program: Program, folder: Path) -> Program:
    """The program on that host, with a spool of that host's own."""
    spool = folder / f"spool-{host}"
    command = ["nsenter", f"--net=/run/netns/{host}", *program.command]
    return replace(program, command=command, env={**program.env, "HUB_SPOOL_DIR": str(spool)})


def _build(launch: Launch, seed: int) -> Stage:
    """Everything started and ready. Raises Fault."""
    launch.supervisor = supervisor = Tireless(launch.places)
    built = Stage(launch, Background(), Receiver(random.Random(seed)), supervisor)
    launch.open_servers()
    var, password = launch.places.var, secrets.token_urlsafe(12)
    built.database_url = launch.env["DATABASE_URL"]
    _start_provider(built)
    launch.env |= {
        **keys.kept(var / "keys"),
        **stage.leases(LEASE_SECONDS),
        "DJANGO_SETTINGS_MODULE": "megahub.settings.dev",
        "HUB_SANDBOX_URL": f"http://{HOSTS['provider']}:{PORTS['provider']}",
        "HUB_PORT": str(PORTS["web"]),
        "HUB_ALLOWED_HOSTS": HOSTS["web"],
        "HUB_ACCESS_TOKEN_MINUTES": "600",
        "HUB_WEBHOOKS_ALLOW_PRIVATE": "1",
    }
    launch.prepare(password)
    _start_data(built)
    _start_hub(built)
    built.url = f"http://{HOSTS['web']}:{PORTS['web']}"
    built._runner = built.background.run(receiver.listen(built.receiver, PORTS["hook"], OURS))
    stage.introduce(built, password, PORTS["hook"], OURS)
    return built


def _start_provider(built: Stage) -> None:
    built.provider_log = built.launch.places.var / "provider.jsonl"
    program = services.sandbox(PORTS["provider"])
    more = ["--host", HOSTS["provider"], "--log", str(built.provider_log)]
    program = replace(program, command=[*program.command, *more])
    built.supervisor.start(_on("provider", program, built.launch.places.var))


def _start_data(built: Stage) -> None:
    """The servers stay on their sockets; ``data`` passes on to them what comes over its cable."""
    launch, sockets, host = built.launch, built.launch.places.sockets, HOSTS["data"]
    pairs = [
        f"{host}:5432={sockets / f'.s.PGSQL.{postgres.PORT}'}",
        f"{host}:6379={sockets / 'redis.sock'}",
    ]
    env = processes.environment_without_keys()
    program = Program("data", services.module("tools.chaos.proxy", *pairs), env, 1)
    built.supervisor.start(_on("data", program, launch.places.var))
    launch.env["DATABASE_URL"] = f"postgres://{postgres.ROLE}@{host}:5432/{postgres.ROLE}"
    launch.env["REDIS_URL"] = f"redis://{host}:6379/0"


def _start_hub(built: Stage) -> None:
    env, var = built.launch.env, built.launch.places.var
    built.supervisor.start(_on("web", services.web(HOSTS["web"], PORTS["web"], env), var))
    for host in ("worker", "worker-2"):
        program = replace(services.worker(env), name=host)
        command = [*program.command, "-n", f"{host}@%h"]
        built.supervisor.start(_on(host, replace(program, command=command), var))
    client = Client(f"{HOSTS['web']}:{PORTS['web']}")
    if not built.watch_until(lambda: _is_ready(client), READY_SECONDS):
        raise Fault("The hub is not ready.")
    built.supervisor.start(_on("web", services.beat(env, var / "beat-schedule"), var))
    say("Ready: five hosts on a bridge.")


def _is_ready(client: Client) -> bool:
    try:
        return client.get("/readyz", timeout=10.0)[0] == 200
    except NoAnswer:
        return False


def _play(built: Stage, calling: Callers, options: argparse.Namespace) -> dict[str, float]:
    """Callers send, and one host after the other is cut off; for how long each was."""
    seconds = PAUSE_SECONDS + sum(CUTS[host] + PAUSE_SECONDS for host in options.cut)
    asked = list(operations(options.seed, options.jobs, sorted(built.tokens)))
    work = calling.carry_out(asked, seconds)
    done = asyncio.run_coroutine_threadsafe(work, built.background.loop)
    _wait(built, PAUSE_SECONDS, done.done)
    cut = {}
    for host in options.cut:
        say(f"{host} is cut off for {CUTS[host]:g} s.")
        watch = Watch()
        _ip("link", "set", f"to-{host}", "down")
        _wait(built, CUTS[host], lambda: False)
        _ip("link", "set", f"to-{host}", "up")
        cut[host] = round(watch.seconds, 1)
        _wait(built, PAUSE_SECONDS, lambda: False)
    built.watch_until(done.done, seconds + calling.patience_seconds)
    done.result(timeout=1)
    return cut


def _wait(built: Stage, seconds: float, is_over: Callable[[], bool]) -> None:
    built.watch_until(is_over, seconds)


def _report(
    options: argparse.Namespace,
    cut: dict[str, float],
    found: evidence.Evidence,
    offences: dict[str, list[str]],
) -> str:
    phases = [row["phase"] for row in found.attempts]
    rows: list[tuple[str, object]] = [
        *((f"{host} cut off, seconds", seconds) for host, seconds in cut.items()),
        ("operations asked", options.jobs),
        ("jobs", len(found.jobs)),
        ("calls to the provider", len(found.calls)),
        *((f"attempts {phase}", phases.count(phase)) for phase in sorted(set(phases))),
        ("webhooks taken", found.taken.total()),
        *((f"**{name}**", f"**{len(lines)}**") for name, lines in offences.items()),
    ]
    lines = [f"\n### Several hosts, seed {options.seed}\n", "| what | number |", "|---|--:|"]
    lines += [f"| {what} | {number} |" for what, number in rows]
    lines += [f"- {name}: {line}" for name, told in offences.items() for line in told[:5]]
    return "\n".join(lines)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Fault as fault:
        sys.exit(f"hosts: {fault}")
