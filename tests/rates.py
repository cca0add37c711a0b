"""Rate limits for tests, and another process that asks for room (``python -m tests.rates``)."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

#: Before now: what a job was accepted at is later.
MOMENT = 1_700_000_000_000


def hammer(company_id: int, times: int) -> int:
    """How many of so many requests, all at once, are let in."""
    from ai_usage.services import rate_script, rates
    from megahub.kernel import loop
    from megahub.kernel.errors import RateLimited
    from megahub.tenancy.selectors import Caller

    rate_script.FROZEN_MS = MOMENT
    caller = Caller.of_job(company_id, 0, 0, None)

    async def ask() -> list[Any]:
        asking = [rates.take(caller, "gpt-4o-mini", 10) for _ in range(times)]
        return await asyncio.gather(*asking, return_exceptions=True)

    results = loop.run(ask())
    strange = [r for r in results if isinstance(r, BaseException) and not isinstance(r, RateLimited)]
    assert strange == []
    return sum(not isinstance(result, RateLimited) for result in results)


if __name__ == "__main__":
    import django

    django.setup()
    from megahub.kernel import scope

    with scope.everybody():
        hammer(0, 1)  # its caches and threads are there before the others begin
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        sys.stdout.write(str(hammer(int(sys.argv[1]), int(sys.argv[2]))))
        sys.stdout.flush()
    os._exit(0)
