"""What ``benchmarks.search`` has done inside of the hub: texts for filled jobs, and blocks of them."""

from __future__ import annotations

import json
import random
import re
import time

from django.db import connection, transaction

from ai_core.models import AIJob, SearchBlock, SearchCursor
from ai_core.services import search_blocks
from benchmarks.ground import ROOT

TENTH = 0.1
SENTENCES, WORDS_IN_ONE, IN_A_PROMPT, AT_ONCE = 40_000, 12, 14, 10_000


def fill(words: list[str]) -> str:
    """Give every job a prompt; the first word is in a tenth of them, the second in twenty."""
    began, chance = time.monotonic(), random.Random(1)  # nosec B311 - words, no secrets
    prose = "\n".join(path.read_text() for path in sorted((ROOT / "docs").rglob("*.md")))
    known = re.findall(r"[\w'-]+[,.]?", prose)
    sentences = [" ".join(chance.choices(known, k=WORDS_IN_ONE)) for _ in range(SENTENCES)]
    numbers = list(AIJob.objects.unscoped().order_by("pk").values_list("pk", flat=True))
    rare = set(chance.sample(numbers, 20))
    size = 0
    for begin in range(0, len(numbers), AT_ONCE):
        lines = []
        for pk in numbers[begin : begin + AT_ONCE]:
            parts = chance.choices(sentences, k=IN_A_PROMPT)
            parts += words[:1] if chance.random() < TENTH else []
            parts += words[1:2] if pk in rare else []
            body = json.dumps({"messages": [{"role": "user", "content": " ".join(parts)}]})
            size += len(body)
            lines.append(f"{pk}\t{body.replace(chr(92), chr(92) * 2)}\n")
        _store(lines)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    return f"{len(numbers)} jobs of {size // len(numbers)} bytes in {time.monotonic() - began:.0f} s"


def _store(lines: list[str]) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE said (id bigint, body jsonb) ON COMMIT DROP")
        with cursor.copy("COPY said FROM STDIN") as copy:
            copy.write("".join(lines))
        cursor.execute("UPDATE ai_core_aijob j SET input_data = s.body FROM said s WHERE s.id = j.id")


def forget() -> str:
    """As it was without blocks."""
    SearchBlock.objects.unscoped().delete()
    SearchCursor.objects.update(tiled_job_id=0, safe_job_id=0, safe_block_id=0)
    return "none"


def build() -> str:
    """Make all blocks; how long it took, and what they hold."""
    began = time.monotonic()
    filled = search_blocks.tend_all()
    seconds = time.monotonic() - began
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE ai_core_searchblock")
        cursor.execute(
            "SELECT sum(jobs), pg_total_relation_size('ai_core_searchblock') FROM ai_core_searchblock"
        )
        jobs, size = cursor.fetchone()
    each = f"{1000 * seconds / int(jobs):.2f} ms and {size / int(jobs):.0f} bytes a job"
    return f"{filled} blocks of {jobs} jobs in {seconds:.0f} s, {each}"
