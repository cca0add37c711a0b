"""A provider to try the hub against: OpenAI's wire on loopback, deterministic, faults on demand.

Start it with `python -m sandbox --host 127.0.0.1 --port 9100`; `docs/sandbox.md` is the manual.
It is a process of its own: it imports nothing of the hub and the hub imports nothing of it.
"""
