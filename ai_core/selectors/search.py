"""Jobs whose description, name or prompt holds a text.

PostgreSQL asks jsonpath, SQLite ``json_tree``; both look at the texts of messages, ``prompt`` and
``input``, and not at the names of parameters. Neither has an index for that: row-level security keeps
PostgreSQL from asking one, since ``LIKE`` is not leakproof. Instead blocks of jobs that cannot hold the
text are passed over (ai_core/services/search_blocks.py), and what they leave is looked into. What is found
is the same with blocks or without; a text that most blocks may hold is looked for as if there were none.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import orjson
from django.db import connection
from django.db.models import BinaryField, BooleanField, Func, Q, QuerySet, TextField
from django.db.models.functions import Cast, Mod

from ai_core.domain import grams
from ai_core.domain.grams import Bits
from ai_core.models import AIJob, SearchBlock
from megahub.kernel import sql

#: Where texts are: contents of messages, their parts, a prompt, the input of embeddings.
PLACES = ("messages[*].content[*]", "messages[*].content[*].text", "prompt", "input[*]")
KEYS = ("content", "text", "prompt", "input")
_NAMED = ", ".join(f"'{key}'" for key in KEYS)
INSIDE = f"t.type = 'text' AND (t.key IN ({_NAMED}) OR t.path = '$.input')"
#: So many ranges of numbers are looked into with one statement, and so many jobs are found by number.
RANGES_AT_ONCE, MOST_FOUND = 16, 2000
#: Whether most jobs may hold a text is asked of one block in so many, where that makes enough of them.
ONE_IN, ENOUGH = 16, 8
Range = tuple[int, int | None]


class PromptHolds(Func):
    """Whether the texts of ``input_data`` hold ``text``, in upper or lower case."""

    output_field = BooleanField()
    conditional = True

    def __init__(self, text: str, column: str = "input_data") -> None:
        super().__init__(column)
        self.text = text

    def as_postgresql(self, compiler: Any, connection: Any, **_: Any) -> tuple[str, list[Any]]:
        """``q``: the text is no pattern, ``i``: case does not matter."""
        column, params = compiler.compile(self.get_source_expressions()[0])
        said = orjson.dumps(self.text).decode()
        places = " || ".join(f'@.{place} like_regex {said} flag "iq"' for place in PLACES)
        return f"jsonb_path_exists({column}, %s::jsonpath)", [*params, f"$ ? ({places})"]

    def as_sqlite(self, compiler: Any, connection: Any, **_: Any) -> tuple[str, tuple[Any, ...]]:
        """``LIKE`` over every text below ``input_data`` whose place is one of those."""
        column, params = compiler.compile(self.get_source_expressions()[0])
        pattern = f"%{connection.ops.prep_for_like_query(self.text)}%"
        sql = f"EXISTS (SELECT 1 FROM json_tree({column}) t WHERE {INSIDE} AND t.atom LIKE %s ESCAPE '\\')"
        return sql, (*params, pattern)


def found(rows: QuerySet[AIJob], company_id: int, text: str) -> QuerySet[AIJob]:
    """Those of a company's jobs that hold the text."""
    holding, bits = looked_into(rows, text), grams.asked(text)
    ranges = _left(company_id, bits) if bits else None
    if ranges is None:
        return holding
    numbers: list[int] = []
    plain, rest = holding.order_by(), iter(ranges)
    while some := list(islice(rest, RANGES_AT_ONCE)):
        numbers += plain.filter(_within(some)).values_list("pk", flat=True)[: MOST_FOUND + 1]
        if len(numbers) > MOST_FOUND:
            return holding
    return holding.filter(pk__in=numbers)


def looked_into(rows: QuerySet[AIJob], text: str) -> QuerySet[AIJob]:
    """The same, each job looked into."""
    held = Q(description__icontains=text) | Q(job_id__icontains=text) | Q(PromptHolds(text))
    return rows.filter(held)


def _within(ranges: list[Range]) -> Q:
    found = Q()
    for first, last in ranges:
        found |= Q(pk__gte=first) if last is None else Q(pk__range=(first, last))
    return found


def _left(company_id: int, bits: list[Bits]) -> list[Range] | None:
    """The numbers of jobs that may hold what is asked for; None when most jobs may."""
    rows, ranges = SearchBlock.objects.of(company_id).order_by("first_id"), list[Range]()
    some = [told[3] for told in _told(rows.annotate(part=Mod("pk", ONE_IN)).filter(part=0), bits)]
    if len(some) >= ENOUGH and 2 * sum(some) <= len(some):
        return None
    begin = passed = jobs = 0
    for first, last, number, lacks in _told(rows, bits):
        jobs += number
        if lacks:
            ranges += [(begin, first - 1)] if begin < first else []
            begin, passed = last + 1, passed + number
    return [*ranges, (begin, None)] if 2 * passed > jobs else None


def _told(rows: QuerySet[SearchBlock], bits: list[Bits]) -> Iterator[tuple[int, int, int, bool]]:
    """(first, last, how many jobs, whether something that is asked for is in none) of each block."""
    plain = ("first_id", "last_id", "jobs")
    if sql.on_postgres():
        yield from rows.annotate(lacks=Lacks(bits)).values_list(*plain, "lacks")
        return
    words = {f"word_{number}": Word(each) for number, each in enumerate(bits)}
    for first, last, number, has, *told in rows.annotate(**words).values_list(*plain, "words", *words):
        yield first, last, number, bool(has) and not grams.holds(told, bits)


class Word(Func):
    """The word of a block's signature in which a run stands (SQLite)."""

    output_field = BinaryField()

    def __init__(self, bits: Bits) -> None:
        super().__init__("signature", "words")
        self.bits = bits

    def as_sqlite(self, compiler: Any, connection: Any, **_: Any) -> tuple[str, tuple[Any, ...]]:
        made, words = (compiler.compile(each)[0] for each in self.get_source_expressions())
        return f"substr({made}, %s %% {words} * 4 + 1, 4)", (self.bits.spread,)


class Lacks(Func):
    """Whether a block's signature tells that one of the runs is in none of its texts."""

    output_field = BooleanField()

    def __init__(self, bits: list[Bits]) -> None:
        super().__init__("signature", "words")
        self.bits = bits

    def as_postgresql(self, compiler: Any, connection: Any, **_: Any) -> tuple[str, list[Any]]:
        """One word is read for each run, until one lacks; a part of a stored value is read as a part."""
        made, words = (compiler.compile(each)[0] for each in self.get_source_expressions())
        has, params = [], []
        for each in self.bits:
            word = f"substring({made} FROM ((%s::bigint %% {words}) * 4 + 1)::int FOR 4)"
            has.append(f"get_bit({word}, {each.first}) = 1 AND get_bit({word}, {each.second}) = 1")
            params += [each.spread, each.spread]
        return f"({words} > 0 AND NOT (CASE WHEN {words} > 0 THEN {' AND '.join(has)} END))", params


def texts_of(rows: QuerySet[AIJob]) -> Iterator[str]:
    """Every text that a search looks into, as it is stored (no order)."""
    if sql.on_postgres():
        wanted = rows.annotate(said=Cast("input_data", TextField()))
        for description, name, said in wanted.values_list("description", "job_id", "said"):
            yield from (description, name, *_texts_in(orjson.loads(said)))
        return
    for pair in rows.values_list("description", "job_id"):
        yield from pair
    numbers = orjson.dumps(list(rows.values_list("pk", flat=True))).decode()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT t.atom FROM ai_core_aijob j, json_tree(j.input_data) t"
            f" WHERE j.id IN (SELECT value FROM json_each(%s)) AND {INSIDE}",
            [numbers],
        )
        yield from (text for (text,) in cursor.fetchall())


def _texts_in(data: Any) -> Iterator[str]:
    """What stands, in lists or not, under one of the keys: every place of ``PLACES`` ends in one."""
    left = [(data, False)]
    while left:
        value, is_meant = left.pop()
        if isinstance(value, dict):
            left += [(each, key in KEYS) for key, each in value.items()]
        elif isinstance(value, list):
            left += [(each, is_meant) for each in value]
        elif isinstance(value, str) and is_meant:
            yield value
