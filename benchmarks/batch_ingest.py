"""One reading of a batch's file in a process of its own, for ``benchmarks.batches``.

``python -m benchmarks.batch_ingest json.loads|hub FILE`` prints a row as JSON: name, seconds, MB/s, MiB.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

import django

django.setup()

# These need the applications that the line above has loaded.
from ai_batch.models import Batch  # noqa: E402
from ai_batch.services import ingest, making  # noqa: E402
from ai_batch.services.files import Owner  # noqa: E402
from megahub.kernel import journal, loop  # noqa: E402
from megahub.tenancy.models import Brand, User  # noqa: E402


def rss_mib() -> float:
    """This process's resident memory."""
    line = next(
        row for row in Path("/proc/self/status").read_text().splitlines() if row.startswith("VmRSS")
    )
    return int(line.split()[1]) / 1024


class Peak:
    """The most memory that is seen while it watches."""

    def __init__(self) -> None:
        self.idle = self.most = rss_mib()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._over.wait(0.02):
            self.most = max(self.most, rss_mib())

    def above_idle(self) -> float:
        """Stop watching; how much it grew."""
        self._over.set()
        self._thread.join()
        return self.most - self.idle


def floor(path: Path) -> list[Any]:
    """Nothing but the standard library's parser."""
    peak, began = Peak(), time.perf_counter()
    with path.open("rb") as file:
        for line in file:
            json.loads(line)
    return _row("json.loads alone", path, time.perf_counter() - began, peak)


def hub(path: Path) -> list[Any]:
    """The hub's whole ingestion: parse, check, estimate, write, reserve."""
    brand = Brand.objects.unscoped().select_related("company").order_by("pk").first()
    user = User.objects.get(username="alice")
    owner = Owner(brand.company_id, brand.pk, user.pk)
    with path.open("rb") as file:
        stored = making.of_lines(owner, "requests.jsonl", file)
    small = making.of_lines(owner, "small.jsonl", iter([path.open("rb").readline()]))

    def batch(file: Any, name: str) -> Batch:
        found: Batch = Batch.objects.unscoped().create(
            company_id=owner.company_id,
            brand_id=owner.brand_id,
            created_by_id=owner.user_id,
            batch_id=name,
            file_asked=file.file_id,
            input_file=file,
            endpoint="/v1/chat/completions",
            engine_asked="hub",
        )
        return found

    mark = f"{time.time_ns():x}"
    ingest.validate(batch(small, f"batch_warm_{mark}").pk)
    measured = batch(stored, f"batch_bench_{mark}")
    peak, began = Peak(), time.perf_counter()
    ingest.validate(measured.pk)
    row = _row("hub", path, time.perf_counter() - began, peak)
    measured.refresh_from_db()
    if measured.status != "in_progress":
        raise SystemExit(f"{measured.status} {measured.errors}")
    Batch.objects.unscoped().filter(batch_id__endswith=mark).delete()
    journal.stop()
    loop.close_reader_connections()
    return row


def _row(name: str, path: Path, seconds: float, peak: Peak) -> list[Any]:
    size = path.stat().st_size / 1e6
    return [name, seconds, size / seconds, peak.above_idle()]


if __name__ == "__main__":
    print(json.dumps({"json.loads": floor, "hub": hub}[sys.argv[1]](Path(sys.argv[2]))))
