"""`python -m sandbox`: listen until SIGTERM or SIGINT, then leave nothing behind."""

import argparse
import asyncio
import importlib
import logging
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

from aiohttp import web

from sandbox.app import Sandbox
from sandbox.files import FileStore
from sandbox.folders import own_folder
from sandbox.log import CallLog
from sandbox.uploads import MAX_BODY_BYTES

# Calls that stall on purpose never end by themselves.
SHUTDOWN_S = 0.3
BACKLOG = 1024


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9100, help="0 takes any free port")
    parser.add_argument(
        "--files-dir", type=Path, help="where files are kept (default: a folder removed at exit)"
    )
    parser.add_argument("--seconds-per-batch-line", type=float, default=0.0, metavar="X")
    parser.add_argument("--log", type=Path, metavar="FILE", help="append every call as a JSON line")
    return parser.parse_args(arguments)


async def serve(options: argparse.Namespace) -> None:
    """Serve until a signal comes; says on stdout where it listens."""
    sandbox = Sandbox(FileStore(options.files_dir), CallLog(options.log), options.seconds_per_batch_line)
    request = partial(web.BaseRequest, loop=asyncio.get_running_loop(), client_max_size=MAX_BODY_BYTES)
    # Cancellation lets a call that stalls or waits end when its client has gone.
    server = web.Server(sandbox.handle, request_factory=request, handler_cancellation=True, access_log=None)
    runner = web.ServerRunner(server, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    try:
        await web.TCPSite(runner, options.host, options.port, backlog=BACKLOG).start()
        host, port = runner.addresses[0][:2]
        print(f"sandbox listening on http://{host}:{port}", flush=True)
        await _signalled()
    finally:
        await runner.cleanup()
        await sandbox.stop()


async def _signalled() -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    await stopped.wait()


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's loop if it is installed, else asyncio's own."""
    with suppress(ImportError):
        factory: Callable[[], asyncio.AbstractEventLoop] = importlib.import_module("uvloop").new_event_loop
        return factory
    return None


def main(arguments: list[str]) -> int:
    options = parse_arguments(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    # Until the loop listens for it; without, SIGTERM would leave the folder behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with ExitStack() as opened:
        if options.files_dir is None:
            options.files_dir = opened.enter_context(own_folder())
        options.files_dir.mkdir(parents=True, exist_ok=True)
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(serve(options))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
