"""Blocks that a search passes over: it finds the same with them or without, and no text stays in them."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from ai_core.domain import grams
from ai_core.models import AIJob, AIJobType, SearchBlock, SearchCursor
from ai_core.selectors import search
from ai_core.services import edit, forgetting, search_blocks
from ai_guard.models import GuardPolicy
from megahub.kernel import clock
from megahub.tenancy.models import Company
from tests import world
from tests.conftest import Api
from tests.threads import elsewhere, still_open
from tests.world import RUN, Cast

SIZE = 4
_numbers = itertools.count(1)
#: Everything whose other case is not simply one other letter, and what patterns are made of.
NASTY = "aAiIıİsSſßẞkKKåÅÅéÉeéσςΣάΆαΑΐΰŉǰﬁﬀևԱաǆǅǄᾳᾼµμΜფᲤꭰᎠƛɤ𐐀𐐨я Я漢字🙂%_\\\"'.*^$\n\t12"


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_blocks, "JOBS_PER_BLOCK", SIZE)


def jobs(cast: Cast, texts: Iterable[Any], **fields: Any) -> list[AIJob]:
    """Jobs of Alice's that have ended, with these prompts (or whole bodies)."""
    known: dict[str, Any] = {
        "company_id": cast.company.pk,
        "brand": cast.brand,
        "created_by": cast.alice.user,
        "job_type": AIJobType.objects.get(name="chat_completion"),
        "status": "completed",
        "endpoint": "chat",
        "model": "gpt-4o",
        "provider": "openai",
        "generation": "legacy",
    }
    told = [text if isinstance(text, dict) else said(text) for text in texts]
    rows = [
        AIJob(job_id=f"ai_job_b_{RUN}_{next(_numbers)}", input_data=body, **{**known, **fields})
        for body in told
    ]
    return AIJob.objects.unscoped().bulk_create(rows)


def said(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


def tend() -> None:
    """Until everything is drawn and filled (other tests' transactions may be open for a moment)."""
    SearchBlock.objects.unscoped().filter(fill_at__isnull=False).update(fill_at=clock.now())
    for _ in range(8):
        search_blocks.tend(20, timedelta(0))


def blocks(cast: Cast) -> list[SearchBlock]:
    return list(SearchBlock.objects.of(cast.company.pk).order_by("first_id"))


def found(cast: Cast, text: str) -> list[int]:
    rows = AIJob.objects.of(cast.company.pk)
    return sorted(search.found(rows, cast.company.pk, text).values_list("pk", flat=True))


def all_found(cast: Cast, text: str) -> list[int]:
    """Without blocks."""
    rows = search.looked_into(AIJob.objects.of(cast.company.pk), text)
    return sorted(rows.values_list("pk", flat=True))


def left(cast: Cast, text: str) -> list[Any] | None:
    bits = grams.asked(text)
    return search._left(cast.company.pk, bits) if bits else None


def test_it_works(cast: Cast) -> None:
    words = "zero one two three four five six seven eight nine ten eleven twelve".split()
    made = jobs(cast, [f"number {word}" for word in words])
    tend()

    first, second, third = blocks(cast)
    assert (first.first_id, first.last_id, first.jobs) == (0, made[3].pk, SIZE)
    assert (second.first_id, second.last_id) == (made[3].pk + 1, made[7].pk)
    assert second.words > 0
    assert second.words * 4 == len(second.signature)
    rest = (third.last_id + 1, None)
    assert left(cast, "zero") == [(0, first.last_id), rest]
    assert left(cast, "SEVEN") == [(second.first_id, second.last_id), rest]
    assert left(cast, "nowhere") == [rest]
    assert left(cast, "number") is None
    for text, places in (
        ("zero", [0]),
        ("SEVEN", [7]),
        ("twelve", [12]),
        ("nowhere", []),
        ("number t", [2, 3, 10, 12]),
    ):
        assert found(cast, text) == all_found(cast, text) == [made[n].pk for n in places]


def test_in_lists_with_filters_orders_and_pages(api: Api, cast: Cast) -> None:
    made = jobs(cast, [f"{'needle' if n % 9 == 0 else 'hay'} {n:03}" for n in range(60)])
    AIJob.objects.unscoped().filter(pk__in=[job.pk for job in made[:30]]).update(priority="high")
    tend()
    assert left(cast, "needle") is not None
    wanted = [job.pk for job in made if job.pk in set(all_found(cast, "needle"))][::-1]

    page = api.as_(cast.alice).get("/ai/jobs/?search=needle&page_size=3").json()
    assert (page["count"], [row["id"] for row in page["results"]]) == (7, wanted[:3])
    walked, url = [], "/ai/jobs/?search=needle&page_size=3&cursor="
    while url:
        told = api.as_(cast.alice).get(url).json()
        walked += [row["id"] for row in told["results"]]
        url = (told["next"] or "").replace(api.url, "")
    assert walked == wanted
    upwards = api.as_(cast.alice).get("/ai/jobs/?search=needle&priority=high&ordering=id").json()
    assert [row["id"] for row in upwards["results"]] == [made[n].pk for n in (0, 9, 18, 27)]
    assert api.as_(cast.charlie).get("/ai/jobs/?search=needle").json()["count"] == 0


@pytest.mark.parametrize("seed", range(3))
def test_the_same_with_blocks_and_without(cast: Cast, seed: int) -> None:
    """Random texts and terms, of letters whose cases are not simply pairs, as each database compares."""
    chance = random.Random(seed)
    texts = ["".join(chance.choices(NASTY, k=chance.randint(0, 30))) for _ in range(41)]
    bodies: list[Any] = [body(chance, text) for text in texts]
    made = jobs(cast, bodies)
    for job in made[::5]:
        AIJob.objects.unscoped().filter(pk=job.pk).update(description=chance.choice(texts).strip())
    tend()
    assert [block.words > 0 for block in blocks(cast)] == [True] * 10

    narrowed = 0
    for _ in range(60):
        text = term(chance, texts)
        assert found(cast, text) == all_found(cast, text), text
        narrowed += left(cast, text) is not None
    assert narrowed > 10


def body(chance: random.Random, text: str) -> dict[str, Any]:
    """A request with the text in one of the places where a search looks, or beside them."""
    return chance.choice(
        (
            said(text),
            {"messages": [{"content": [{"type": "text", "text": text}, {"type": "image_url"}]}]},
            {"messages": [{"content": ["x", text]}]},
            {"prompt": text},
            {"prompt": [text]},
            {"input": text},
            {"input": ["x", text]},
            {"user": text, "input": {"other": text}, "tools": [{"description": text, "text": text}]},
        )
    )


def term(chance: random.Random, texts: list[str]) -> str:
    """A part of a text in another case, or anything."""
    text = chance.choice(texts)
    begin = chance.randint(0, max(0, len(text) - 4))
    part = text[begin : begin + chance.randint(3, 8)]
    part = chance.choice((str, str.upper, str.lower, str.title, str.swapcase, str.casefold))(part)
    return part or "".join(chance.choices(NASTY, k=4))


def test_no_case_is_told_apart() -> None:
    """Of every character: what it may be in another case is folded alike, or cuts what is asked for."""
    for point in range(0x110000):
        if 0xD800 <= point < 0xE000:
            continue
        one = chr(point)
        cases = {one.upper(), one.lower(), one.title(), one.casefold()} - {one}
        for other in (each for each in cases if len(each) == 1):
            told_apart = grams.fold(one) != grams.fold(other)
            assert not told_apart or (grams.is_odd(one) and grams.is_odd(other)), (one, other)


def told(text: str, asked: str) -> bool:
    """Whether a signature of the text tells that it may hold what is asked for."""
    return {grams.Bits.of(gram) for gram in grams.grams(text)} >= set(grams.asked(asked))


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("Straße", "STRASSE"),
        ("STRASSE", "Straße"),
        ("ﬁnance", "FINANCE"),
        ("FINANCE", "ﬁnance"),
        ("İstanbul", "istanbul"),
        ("ISTANBUL", "ıstanbul"),
        ("ὀδυσσεύς", "ΟΔΥΣΣΕΥΣ"),
        ("A\u0301BCDE", "abcde"),
    ],
)
def test_letters_that_become_several_or_none(text: str, asked: str) -> None:
    """Not with the databases of these tests, but with one whose locale is ICU's."""
    assert told(text, asked)


@pytest.mark.parametrize("seed", range(3))
def test_capitals_by_the_whole_of_unicode(seed: int) -> None:
    """A database may compare capitals of one letter for one, or as many as Unicode has."""
    chance, compared = random.Random(seed), 0
    ways: tuple[Callable[[str], str], ...] = (str.upper, letter_by_letter)
    for _ in range(3000):
        text = "".join(chance.choices(NASTY, k=12))
        asked = term(chance, [text])
        if any(way(asked) in way(text) for way in ways):
            compared += 1
            assert told(text, asked), (text, asked)
    assert compared > 1000


def letter_by_letter(text: str) -> str:
    return "".join(each.upper() if len(each.upper()) == 1 else each for each in text)


def test_the_database_tells_what_the_signature_tells(cast: Cast) -> None:
    jobs(cast, ["".join(random.Random(n).choices("abcdefgh ", k=400)) for n in range(SIZE * 3)])
    tend()
    for text in ("abcd", "hgfedcba", "a b c d", "ffff", "zzzz"):
        bits = grams.asked(text)
        rows = SearchBlock.objects.of(cast.company.pk).order_by("first_id")
        lacks = [told[3] for told in search._told(rows, bits)]
        assert lacks == [
            not grams.holds(grams.words_of(bytes(block.signature), bits), bits) for block in blocks(cast)
        ]


@pytest.fixture
def block(cast: Cast) -> SearchBlock:
    """A filled block of four jobs, one of which holds a secret."""
    jobs(cast, ["plain", "a verysecretword", "plain", "plain"])
    tend()
    (filled,) = blocks(cast)
    assert filled.words
    assert holds(filled, "verysecretword")
    return filled


def holds(row: SearchBlock, text: str) -> bool:
    bits = grams.asked(text)
    return bool(row.words) and grams.holds(grams.words_of(bytes(row.signature), bits), bits)


def secret_of(cast: Cast) -> AIJob:
    return AIJob.objects.of(cast.company.pk).get(pk=all_found(cast, "verysecretword")[0])


def _erase(cast: Cast, job: AIJob) -> None:
    AIJob.objects.unscoped().filter(pk=job.pk).update(end_user="somebody")
    forgetting.erase(cast.company.pk, "somebody", None)


def _retain(cast: Cast, job: AIJob) -> None:
    AIJob.objects.unscoped().filter(pk=job.pk).update(created_at=clock.now() - timedelta(days=30))
    GuardPolicy.objects.unscoped().create(company=cast.company, keep_days=7)
    forgetting.forget_old()


def _by_policy(cast: Cast, job: AIJob) -> None:
    AIJob.objects.unscoped().filter(pk=job.pk).update(keep="none", forget_at=clock.now())
    forgetting.forget_due()


GOES = {
    "deleted": lambda _, job: edit.delete(job),
    "erased": _erase,
    "too old": _retain,
    "by policy": _by_policy,
    "changed by hand": lambda cast, job: (
        AIJob.objects.of(cast.company.pk).filter(pk=job.pk).update(input_data={})
    ),
    "its row": lambda _, job: job.delete(),
}


@pytest.mark.parametrize("way", GOES)
def test_nothing_is_left_of_a_text_that_goes(cast: Cast, block: SearchBlock, way: str) -> None:
    GOES[way](cast, secret_of(cast))

    block.refresh_from_db()
    assert (block.words, bytes(block.signature), block.changes) == (0, b"", 1)
    tend()
    block.refresh_from_db()
    assert block.words
    assert block.fill_at is None
    assert not holds(block, "verysecretword")
    assert found(cast, "verysecretword") == []


def test_a_new_description_is_found_at_once(cast: Cast, block: SearchBlock) -> None:
    job = AIJob.objects.of(cast.company.pk).order_by("pk")[2]
    edit.change(job, {"description": "a newdescription"})

    assert found(cast, "newdescription") == [job.pk]
    tend()
    assert found(cast, "newdescription") == [job.pk]
    block.refresh_from_db()
    assert block.words
    assert holds(block, "newdescription")


def test_what_says_nothing_new_empties_nothing(cast: Cast, block: SearchBlock) -> None:
    job = secret_of(cast)
    AIJob.objects.of(cast.company.pk).filter(pk=job.pk).update(
        description=job.description, input_data=job.input_data, response={"other": 1}
    )
    block.refresh_from_db()
    assert (block.changes, holds(block, "verysecretword")) == (0, True)


def test_a_text_that_changes_while_its_block_is_filled(
    cast: Cast, block: SearchBlock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read before the change, written afterwards: refused."""
    search_blocks.rebuild(cast.company.pk)
    block.refresh_from_db()
    job, grams_of = secret_of(cast), grams.grams

    def slowly(text: str) -> set[int]:
        if "verysecret" in text:
            edit.delete(job)
        return grams_of(text)

    monkeypatch.setattr(grams, "grams", slowly)
    assert search_blocks.fill(block) is False
    block.refresh_from_db()
    assert (block.words, bytes(block.signature)) == (0, b"")


def test_a_change_that_is_not_committed_yet_is_waited_for(cast: Cast, block: SearchBlock) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer: nobody changes a text meanwhile")
    search_blocks.rebuild(cast.company.pk)
    block.refresh_from_db()
    filled: list[bool] = []
    thread = elsewhere(lambda: filled.append(search_blocks.fill(block)))
    with transaction.atomic():
        edit.delete(secret_of(cast))
        thread.start()
        thread.join(timeout=0.5)
        assert filled == []
    thread.join(timeout=20)

    assert filled == [False]
    block.refresh_from_db()
    assert block.words == 0


def test_a_change_that_began_before_its_block_was_drawn(cast: Cast) -> None:
    """Its trigger sees no block, and who reads meanwhile sees the old text: nothing is filled by then."""
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer: nobody changes a text meanwhile")
    made = jobs(cast, ["plain", "a verysecretword", "plain", "plain"])
    until = time.monotonic() + 20
    while SearchCursor.objects.get().safe_job_id < made[-1].pk and time.monotonic() < until:
        search_blocks.look(timedelta(0))
    thread = elsewhere(lambda: [search_blocks.tend(20, timedelta(0)) for _ in range(3)])
    with transaction.atomic():
        edit.delete(secret_of(cast))
        thread.start()
        thread.join(timeout=60)
        (drawn,) = blocks(cast)
        assert drawn.words == 0
    tend()
    drawn.refresh_from_db()
    assert drawn.words
    assert not holds(drawn, "verysecretword")


def test_jobs_that_have_not_ended_or_must_be_forgotten_wait(cast: Cast, rung: Any) -> None:
    world.submit(cast.alice, later=True)
    jobs(cast, ["waits for its end"] * 3)
    jobs(cast, ["waits to be forgotten"] * 4, forget_at=clock.now() + timedelta(hours=1), keep="none")
    tend()

    open_ones = blocks(cast)
    assert [(row.words, row.fill_at is None) for row in open_ones] == [(0, False)] * 2
    assert len(found(cast, "waits")) == 7
    AIJob.objects.of(cast.company.pk).update(forget_at=None)
    tend()
    assert [row.words > 0 for row in blocks(cast)] == [False, True]


def test_a_number_that_may_still_appear_is_in_no_block(cast: Cast) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer: numbers appear in their order")
    with still_open(lambda: jobs(cast, ["a lateword"])):
        jobs(cast, ["plain"] * SIZE)
        tend()
        assert blocks(cast) == []
    tend()
    (one,) = blocks(cast)
    assert holds(one, "lateword")
    assert len(found(cast, "lateword")) == 1


def test_a_backup_of_another_server_is_drawn_on(cast: Cast) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite counts no transactions")
    jobs(cast, ["plain"] * SIZE)
    SearchCursor.objects.update(seen_xid=2**60)
    tend()
    assert [row.words > 0 for row in blocks(cast)] == [True]


def test_very_many_are_found_as_without(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "MOST_FOUND", 2)
    jobs(cast, ["hay"] * 12 + ["needle"] * 4)
    tend()

    assert left(cast, "needle") is not None
    assert len(found(cast, "needle")) == 4


def test_whether_most_may_hold_it_is_asked_of_some(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "ONE_IN", 2)
    monkeypatch.setattr(search, "ENOUGH", 2)
    jobs(cast, [f"common {'seldom' if n == 1 else ''}" for n in range(SIZE * 6)])
    tend()

    for text, queries in (("common", 1), ("seldom", 2), ("nowhere", 2)):
        with CaptureQueriesContext(connection) as asked:
            assert (left(cast, text) is None) == (text == "common")
        assert len([each for each in asked if "searchblock" in each["sql"]]) == queries
        assert found(cast, text) == all_found(cast, text)


def test_the_command(cast: Cast, block: SearchBlock) -> None:
    out = StringIO()
    call_command("index_search", "--anew", "--company", cast.company.slug, stdout=out)
    block.refresh_from_db()
    assert block.words
    assert block.changes == 1
    assert "blocks filled." in out.getvalue()
    with pytest.raises(CommandError, match="no company nowhere"):
        call_command("index_search", "--company", "nowhere")
    assert Company.objects.filter(pk=cast.company.pk).exists()


def test_a_signature_errs_on_one_side_only() -> None:
    chance = random.Random(5)
    found_there = {chance.getrandbits(32) for _ in range(5000)}
    made = grams.signature(found_there)
    told = [grams.Bits.of(chance.getrandbits(32)) for _ in range(2000)]

    assert len(made) == 5000
    for gram in found_there:
        bits = [grams.Bits.of(gram)]
        assert grams.holds(grams.words_of(made, bits), bits)
    wrong = sum(grams.holds(grams.words_of(made, [each]), [each]) for each in told)
    assert wrong < 200
    assert len(grams.signature(set())) == 4 * grams.LEAST_WORDS
