"""Heads of chains, kept outside the database: a signed line each, in a file that is only appended to.

Whoever rewrites a whole chain with new hashes, or cuts off its end and moves its head back, would also
have to rewrite these lines, which takes the hub's secret key; the log tells of every head besides.
"""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from typing import BinaryIO

import orjson
from django.conf import settings
from django.utils.crypto import constant_time_compare, salted_hmac

from megahub.audit.models import AuditHead

SALT = "megahub.audit.anchor"


def read() -> tuple[dict[int, dict[int, str]], int]:
    """(hashes by chain and number, how many lines are not ours)."""
    known: dict[int, dict[int, str]] = defaultdict(dict)
    strange = 0
    path = Path(settings.HUB_AUDIT_ANCHORS)
    if not path.exists():
        return known, 0
    with path.open("rb") as lines:
        for line in lines:
            try:
                told = orjson.loads(line)
                chain, seq, value, signed = told["chain"], told["seq"], told["hash"], told["signed"]
            except (orjson.JSONDecodeError, KeyError, TypeError):
                strange += 1
                continue
            if constant_time_compare(signed, _sign(chain, seq, value)):
                known[int(chain)][int(seq)] = value
            else:
                strange += 1
    return known, strange


def drop() -> int:
    """Anchor every head that has moved since it was anchored; how many had."""
    known, _ = read()
    moved = [
        head
        for head in AuditHead.objects.order_by("chain")
        if head.seq and max(known.get(head.chain, {}), default=0) < head.seq
    ]
    if moved:
        path = Path(settings.HUB_AUDIT_ANCHORS)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with path.open("a+b") as lines:
            lines.write(_end(lines) + b"".join(_line(head) for head in moved))
    return len(moved)


def _end(lines: BinaryIO) -> bytes:
    """The end of a line that a process died over: what is written next is a line of its own."""
    if not lines.seek(0, os.SEEK_END):
        return b""
    lines.seek(-1, os.SEEK_END)
    return b"" if lines.read() == b"\n" else b"\n"


def _line(head: AuditHead) -> bytes:
    told = {"chain": head.chain, "seq": head.seq, "hash": head.hash}
    signed = _sign(head.chain, head.seq, head.hash)
    return orjson.dumps({**told, "signed": signed}, option=orjson.OPT_APPEND_NEWLINE)


def _sign(chain: int, seq: int, value: str) -> str:
    return salted_hmac(SALT, f"{chain}|{seq}|{value}", algorithm="sha256").hexdigest()
