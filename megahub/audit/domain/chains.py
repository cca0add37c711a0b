"""Whether a chain of entries is whole: what was edited, taken out, moved or cut off shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is wrong with a chain at a place."""

    chain: int
    seq: int
    what: str

    def __str__(self) -> str:
        return f"chain {self.chain}, entry {self.seq}: {self.what}"


def faults(
    chain: int,
    entries: Iterable[dict[str, Any]],
    head: tuple[int, str] | None,
    anchors: Mapping[int, str],
    digest: Callable[[dict[str, Any]], str],
    genesis: str,
) -> list[Fault]:
    """What is wrong with a chain, its entries in the order of their numbers.

    ``head`` is where the database says that it ends, ``anchors`` the hashes kept elsewhere by number.
    """
    found: list[Fault] = []
    expected, previous = 1, genesis
    for entry in entries:
        seq = int(entry["seq"])
        if seq != expected:
            found.append(Fault(chain, expected, f"missing up to {seq - 1}"))
        elif entry["prev_hash"] != previous:
            found.append(Fault(chain, seq, "does not follow the entry before it"))
        if digest(entry) != entry["hash"]:
            found.append(Fault(chain, seq, "is not what was written"))
        if seq in anchors and anchors[seq] != entry["hash"]:
            found.append(Fault(chain, seq, "is not what the anchor outside the database says"))
        expected, previous = seq + 1, entry["hash"]
    last = expected - 1
    end = head or (0, genesis)  # of a company that nothing was changed of yet there is none
    if end != (last, previous):
        found.append(Fault(chain, last, f"is the last one, but the head is at {end[0]}"))
    beyond = [seq for seq in anchors if seq > last]
    if beyond:
        found.append(Fault(chain, last, f"is the last one, but an anchor knows {max(beyond)}"))
    return found
