"""Reading every chain from its first entry to its head, in constant memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from megahub.audit.domain.chains import Fault, faults
from megahub.audit.models import AuditEntry, AuditHead
from megahub.audit.services import anchors
from megahub.kernel import trail
from megahub.kernel.snapshot import snapshot

#: The columns that a hash is over, and the hash.
COLUMNS = [field.attname for field in AuditEntry._meta.concrete_fields if field.attname != "id"]
CHUNK = 2_000


@dataclass(frozen=True, slots=True)
class Verified:
    """What was read, and what is wrong."""

    chains: int
    entries: int
    faults: tuple[Fault, ...]


def verify(chain: int | None = None) -> Verified:
    """Check one chain, or all of them, against themselves, their heads and the anchors outside.

    All is seen at one moment; anchors are read before it, so that none is younger than what is seen.
    """
    known, strange = anchors.read()
    with snapshot():
        heads = {head.chain: (head.seq, head.hash) for head in AuditHead.objects.order_by("chain")}
        named = AuditEntry.objects.unscoped().order_by().values_list("chain", flat=True).distinct()
        chains = sorted({*heads, *named, *known} if chain is None else {chain})
        counted = 0
        found: list[Fault] = []
        for each in chains:
            entries = _Counted(each)
            found += faults(
                each, entries, heads.get(each), known.get(each, {}), trail.digest, trail.GENESIS
            )
            counted += entries.count
    if strange and chain is None:
        found.append(Fault(trail.HUB, 0, f"{strange} anchors outside the database are not signed by us"))
    return Verified(len(chains), counted, tuple(found))


class _Counted:
    """A chain's entries in their order, a chunk at a time; how many there were."""

    def __init__(self, chain: int) -> None:
        self.chain = chain
        self.count = 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        rows = AuditEntry.objects.unscoped().filter(chain=self.chain).order_by("seq")
        after = 0
        while found := list(rows.filter(seq__gt=after).values(*COLUMNS)[:CHUNK]):
            for row in found:
                self.count += 1
                yield row
            after = found[-1]["seq"]
