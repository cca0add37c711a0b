"""Leases and intervals, which the promises of docs/reliability.md rest on; ``base`` takes them in."""

from __future__ import annotations

from megahub.settings import env

#: A process that runs jobs says that it lives this often …
HUB_BEAT_SECONDS = env.number("HUB_BEAT_SECONDS", 10.0)
#: … and is given up for dead after this long without a word (a dead one on the same host at once).
HUB_STALE_SECONDS = env.number("HUB_STALE_SECONDS", 45.0)
#: How often the reaper looks for jobs whose process is gone, and the relay for bells that were lost.
HUB_REAP_SECONDS = env.number("HUB_REAP_SECONDS", 10.0)
HUB_RELAY_SECONDS = env.number("HUB_RELAY_SECONDS", 2.0)
#: A job whose bell was not answered is rung for again after this long.
HUB_RING_AGAIN_SECONDS = env.number("HUB_RING_AGAIN_SECONDS", 30.0)
#: How long calls rest after a provider failed too often: at first, and at most (it doubles).
HUB_BREAKER_SECONDS = env.number("HUB_BREAKER_SECONDS", 15.0)
HUB_BREAKER_MOST_SECONDS = env.number("HUB_BREAKER_MOST_SECONDS", 300.0)
#: How often an open stream looks whether its caller's token, role and brand still hold.
HUB_STREAM_LOOK_SECONDS = env.number("HUB_STREAM_LOOK_SECONDS", 20.0)
#: A worker that has heard no bell for so long, while some were rung, ends.
HUB_DEAF_SECONDS = env.number("HUB_DEAF_SECONDS", 60.0)
#: How many of the calls to a provider may be repeats.
HUB_RETRY_SHARE = env.number("HUB_RETRY_SHARE", 0.1)
#: How long an attempt of unknown outcome counts against the budgets when nothing more is heard of it.
HUB_UNKNOWN_EXPOSURE_HOURS = env.number("HUB_UNKNOWN_EXPOSURE_HOURS", 24.0)
