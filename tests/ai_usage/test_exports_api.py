"""Exports in the background: asked for, made once and whole, downloaded in parts, told of, scheduled."""

from __future__ import annotations

import csv
import hashlib
import io
import smtplib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as live
from django.core import mail
from django.core.files.storage import default_storage
from django.db import connection, connections
from django.db.models import Sum

from ai_usage.domain import exports as files
from ai_usage.domain import schedules as calendar
from ai_usage.models import Export, ExportSchedule, LedgerEntry
from ai_usage.selectors import exporting, listing
from ai_usage.services import export_files, export_news, exports, schedules
from megahub.delivery.models import Mail, Outbox
from megahub.delivery.selectors import EVERYTHING
from megahub.delivery.services import mails, outbox
from megahub.kernel import clock
from megahub.tenancy.models import Membership
from tests.conftest import Api
from tests.exports import again, aged, asked, made_export, made_schedule, scope
from tests.usage import entry
from tests.world import Cast

ASK, LIST, SCHEDULES = "/ai/usage/export/", "/ai/usage/exports/", "/ai/usage/export-schedules/"
ROWS = 7


@pytest.fixture
def used(cast: Cast) -> int:
    for number in range(ROWS):
        entry(cast, clock.now() - timedelta(hours=ROWS - number), cost=1000 + number)
    return ROWS


def lines(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


class TestAsking:
    def test_it_works(self, api: Api, cast: Cast, used: int) -> None:
        alice = api.as_(cast.alice)
        type(cast.alice.user).objects.filter(pk=cast.alice.user.pk).update(email="alice@example.com")

        accepted = alice.get(f"{ASK}?async=true&model=gpt-4o-mini")

        assert accepted.status_code == 202, accepted.text
        told = accepted.json()["export"]
        assert accepted.headers["location"] == told["url"]
        assert (told["state"], told["progress_percentage"], told["download_url"]) == ("pending", 0, None)
        assert told["filters"] == {"model": "gpt-4o-mini"}
        assert alice.get(f"{ASK}?async=true&model=gpt-4o-mini").json()["export"]["id"] == told["id"]

        exports.make(aged(Export.objects.unscoped().get(pk=told["id"])).pk)

        ready = alice.get(f"{LIST}{told['id']}/").json()
        spent = LedgerEntry.objects.of(cast.company.pk).aggregate(cost=Sum("cost_nano_usd"))["cost"]
        assert (ready["state"], ready["rows"], ready["progress_percentage"]) == ("ready", used, 100)
        assert ready["total_cost_usd"] == f"{Decimal(spent).scaleb(-9):.9f}"
        assert [(each["to"], each["state"]) for each in ready["mails"]] == [
            ("alice@example.com", "pending")
        ]

    def test_no_mail_when_none_is_asked_for(self, api: Api, cast: Cast, used: int) -> None:
        type(cast.alice.user).objects.filter(pk=cast.alice.user.pk).update(email="alice@example.com")

        told = api.as_(cast.alice).get(f"{ASK}?async=true&email=false").json()["export"]

        assert Export.objects.unscoped().get(pk=told["id"]).recipients == []

    def test_many_rows_go_to_the_background(self, api: Api, cast: Cast, used: int, settings: Any) -> None:
        settings.HUB_EXPORT_STREAM_ROWS = ROWS
        assert api.as_(cast.alice).get(ASK).status_code == 200
        settings.HUB_EXPORT_STREAM_ROWS = ROWS - 1

        assert api.as_(cast.alice).get(ASK).status_code == 202

    def test_bad_parameters(self, api: Api, cast: Cast) -> None:
        for query in ("async=perhaps", "email=x"):
            response = api.as_(cast.alice).get(f"{ASK}?{query}")
            assert (response.status_code, [*response.json()["field_errors"]]) == (
                400,
                [query.split("=")[0]],
            )
        assert not Export.objects.of(cast.company.pk).exists()

    def test_not_too_many_at_once(self, api: Api, cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(exports, "OPEN_AT_ONCE", 1)
        asked(cast)

        assert api.as_(cast.alice).get(f"{ASK}?async=true&model=o3").status_code == 429


class TestMaking:
    @pytest.mark.parametrize("format", ["csv", "jsonl", "xlsx"])
    def test_the_file_is_whole_however_many_chunks(
        self, cast: Cast, used: int, format: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = asked(cast, format)
        exports.make(whole.pk)
        monkeypatch.setattr(exporting, "CHUNK_ROWS", 2)
        monkeypatch.setattr(exporting, "LINES_AT_ONCE", 2)
        export = asked(cast, format)
        exports.make(export.pk)

        found, other = again(export), again(whole)
        with found.file.open() as file:
            content = file.read()
        assert (found.row_count, found.unpriced) == (used, 0)
        assert (found.size, found.sha256) == (len(content), hashlib.sha256(content).hexdigest())
        if format != "xlsx":  # a workbook holds the moment of its making
            assert found.sha256 == other.sha256
        assert sum(1 for _ in exports._folder().iterdir() if _.name.startswith(f"{export.pk}-")) == 0

    def test_what_comes_later_is_not_in_it(self, cast: Cast, used: int) -> None:
        export = asked(cast)
        entry(cast, clock.now() - timedelta(hours=3))
        exports.make(export.pk)

        assert again(export).row_count == used

    @pytest.mark.parametrize(("seen", "state"), [(7, "pending"), (5, "ready"), (2**62, "ready")])
    def test_nothing_is_made_while_a_row_may_still_appear(
        self, cast: Cast, used: int, monkeypatch: pytest.MonkeyPatch, seen: int, state: str
    ) -> None:
        """A transaction of another server, whose backup this one was restored from, is not waited for."""
        if connection.vendor != "postgresql":
            pytest.skip("SQLite has one transaction at a time")
        export = asked(cast)
        Export.objects.unscoped().filter(pk=export.pk).update(seen_xid=seen)
        monkeypatch.setattr(exports, "transaction_number", {"xmin": 5, "xmax": 9}.__getitem__)
        exports.make(export.pk)

        assert again(export).state == state

    def test_a_worker_that_died_is_replaced(self, cast: Cast, used: int) -> None:
        export = asked(cast)
        assert exports._claim(export.pk) is not None
        exports.make(export.pk)
        assert again(export).state == "running"  # its lease holds

        gone = clock.now() - timedelta(seconds=1)
        Export.objects.unscoped().filter(pk=export.pk).update(lease_until=gone)
        exports.make(export.pk)

        assert (again(export).state, again(export).attempt) == ("ready", 2)

    def test_one_that_was_overtaken_offers_nothing(self, cast: Cast, used: int, tmp_path: Path) -> None:
        export = asked(cast)
        first = exports._claim(export.pk)
        assert first is not None
        Export.objects.unscoped().filter(pk=export.pk).update(attempt=9)
        made = tmp_path / "file"
        made.write_bytes(b"half")

        with pytest.raises(exports.Overtaken):
            exports._finish(first, made, files.NO_TOTALS)

        assert not again(export).file
        assert not default_storage.exists(f"exports/{export.uid}-1.csv")

    def test_cancelled_in_the_middle(self, cast: Cast, used: int, monkeypatch: pytest.MonkeyPatch) -> None:
        export = asked(cast)
        write = export_files.write

        def cancelled(rows: Any, format: str, file: Any, heard: Any) -> Any:
            exports.delete(again(export))
            return write(rows, format, file, heard)

        monkeypatch.setattr(export_files, "write", cancelled)
        exports.make(export.pk)

        assert not Export.objects.unscoped().filter(pk=export.pk).exists()
        assert not default_storage.exists(f"exports/{export.uid}-1.csv")

    def test_a_worker_that_ends_gives_it_back(
        self, cast: Cast, used: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        export = asked(cast)
        monkeypatch.setattr(exports, "_ending", [True])
        exports.make(export.pk)

        assert (again(export).state, again(export).attempt) == ("pending", 0)

    def test_it_fails_for_good_and_says_so(
        self, cast: Cast, used: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(outbox.selectors, "wanted_now", lambda _: EVERYTHING)
        monkeypatch.setattr(exports, "MOST_ATTEMPTS", 1)

        def broken(*_: Any) -> Any:
            raise OSError("no space left")

        monkeypatch.setattr(export_files, "write", broken)
        export = asked(cast)
        exports.make(export.pk)

        assert (again(export).state, again(export).error) == ("failed", "OSError")
        assert Mail.objects.of(cast.company.pk).get().subject == "[MEGAHUB] Your export of usage has failed"
        assert Outbox.objects.of(cast.company.pk).get().event_type == "export.failed"

    def test_an_event_tells_of_it(self, cast: Cast, used: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(outbox.selectors, "wanted_now", lambda _: EVERYTHING)
        export = made_export(cast)

        event = Outbox.objects.of(cast.company.pk).get()
        assert (event.event_type, event.data["rows"]) == ("export.completed", used)
        assert event.data["sha256"] == export.sha256


class TestLinesOfTheDatabase:
    def test_they_are_what_python_writes(self, cast: Cast) -> None:
        if connection.vendor != "postgresql":
            pytest.skip("PostgreSQL makes lines of its own")
        nasty = [
            "=1",
            "+1",
            "-1",
            "@A",
            "\t=1",
            "\r=1",
            " =1",
            "\u00a0=1",
            "＝1",
            "＠1",
            "a\n=1",
            "a\r\n -1",
        ]
        nasty += [
            'say "hi"',
            'A"b',
            "plain",
            "漢字",
            "",
            "a=1",
            "e-mail",
            "\u200b=1",
            "A\u2028=1",
            "Z\x0b+1",
            "\u00ad-1",
        ]
        for number, text in enumerate(nasty):
            entry(cast, clock.now() - timedelta(minutes=99 - number), cost=10**16 + 1,
                  kind="manual", job_ref=f"{text}{number}"[:40], model=text[:120])  # fmt: skip
        entry(cast, datetime(2026, 1, 1, 0, 0, 0, 999999, tzinfo=UTC), brand_id=None, first_byte_ms=3)
        entry(cast, datetime(2026, 1, 1, 0, 0, tzinfo=UTC), is_estimated=True, cost_nano_usd=None)
        rows = listing.filtered(scope(cast), {})

        cells, place, sums = exporting.chunk(rows, None)
        text, other_place, other_sums = exporting.lines(rows, None)

        assert text.decode() == files.CsvWriter().rows(cells).decode()
        assert (place, sums) == (other_place, other_sums)
        assert sums.rows == len(nasty) + 2


class TestDownload:
    def test_it_works(self, api: Api, cast: Cast, used: int) -> None:
        export = made_export(cast)
        path = f"{LIST}{export.pk}/download/"

        whole = api.as_(cast.alice).get(path)

        assert whole.status_code == 200
        assert len(lines(whole.content)) == used
        assert whole.headers["etag"] == f'"{export.sha256}"'
        assert whole.headers["accept-ranges"] == "bytes"
        assert whole.headers["content-length"] == str(export.size)
        assert whole.headers["content-disposition"] == f'attachment; filename="{export.name}"'

    def test_a_file_that_the_storage_lost(self, api: Api, cast: Cast, used: int) -> None:
        export = made_export(cast)
        export.file.storage.delete(export.file.name)

        answer = api.as_(cast.alice).get(f"{LIST}{export.pk}/download/")

        assert (answer.status_code, answer.json()["error_code"]) == (404, "NOT_FOUND")

    def test_it_can_be_resumed(self, api: Api, cast: Cast, used: int) -> None:
        export = made_export(cast)
        alice, path, size = api.as_(cast.alice), f"{LIST}{export.pk}/download/", export.size or 0
        whole = alice.get(path).content

        def part(asked: str, **headers: str) -> Any:
            return alice.get(path, headers={"Range": asked, **headers})

        first, rest = part("bytes=0-99"), part("bytes=100-")
        assert (first.status_code, rest.status_code) == (206, 206)
        assert first.content + rest.content == whole
        assert rest.headers["content-range"] == f"bytes 100-{size - 1}/{size}"
        assert part("bytes=-5").content == whole[-5:]
        assert part(f"bytes={size}-").status_code == 416
        assert part(f"bytes={size}-").headers["content-range"] == f"bytes */{size}"
        assert part("bytes=5-9", **{"If-Range": f'"{export.sha256}"'}).content == whole[5:10]
        assert part("bytes=5-9", **{"If-Range": '"another"'}).content == whole
        assert part("lines=1-2").content == whole
        for known in (f'"{export.sha256}"', f'"another", "{export.sha256}"', "*"):
            assert alice.get(path, headers={"If-None-Match": known}).status_code == 304
        assert alice.get(path, headers={"If-None-Match": f'"not-{export.sha256}"'}).status_code == 200
        head = alice.request("HEAD", path)
        assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(size))

    def test_not_before_it_is_ready(self, api: Api, cast: Cast) -> None:
        export = asked(cast)
        for name in ("download", "trailer"):
            assert api.as_(cast.alice).get(f"{LIST}{export.pk}/{name}/").status_code == 409

    def test_the_trailer(self, api: Api, cast: Cast, used: int) -> None:
        export = made_export(cast)

        told = api.as_(cast.alice).get(f"{LIST}{export.pk}/trailer/").json()

        assert (told["rows"], told["sha256"], told["bytes"]) == (used, export.sha256, export.size)
        assert told["columns"] == list(files.NAMES)

    def test_deleted_while_its_maker_ends(self, cast: Cast, used: int) -> None:
        """Whoever deletes it had read it before: its file goes all the same."""
        before = asked(cast)
        exports.make(before.pk)
        stored = again(before).file.name
        assert default_storage.exists(stored)

        exports.delete(before)

        assert not default_storage.exists(stored)
        assert not Export.objects.of(cast.company.pk).exists()

    def test_the_mail_is_in_the_readers_language(self, cast: Cast, used: int) -> None:
        """A member's own, else the company's; whoever is no member is written to in the company's."""
        cast.company.language = "fr"
        cast.company.save(update_fields=["language"])
        cast.bob.user.email, cast.bob.user.language = f"bob{cast.company.pk}@example.com", "en"
        cast.bob.user.save(update_fields=["email", "language"])
        export = made_export(cast)
        export.recipients = [cast.bob.user.email, "cfo@example.com"]

        export_news.tell(export)

        rows = {each.to: each for each in Mail.objects.of(cast.company.pk)}
        english, french = rows[cast.bob.user.email], rows["cfo@example.com"]
        assert english.subject == "[MEGAHUB] Your export of usage is ready"
        assert f"Rows: {used}\n" in english.text
        assert french.subject == "[MEGAHUB] Votre export d'utilisation est prêt"
        assert f"Lignes : {used}\n" in french.text
        export.state, export.error = "failed", "OSError"
        Mail.objects.of(cast.company.pk).delete()
        export_news.tell(export)
        text = Mail.objects.of(cast.company.pk).get(to="cfo@example.com").text
        assert text == f"L'export {export.pk} (csv) n'a pas pu être créé : OSError.\nRedemandez-le.\n"

    def test_the_link_of_the_mail(self, api: Api, cast: Cast, used: int) -> None:
        export = made_export(cast)
        mail.outbox.clear()
        Mail.objects.unscoped().exclude(company=cast.company).update(state="sent")  # other tests'
        mails.send_due()

        sent = next(each for each in mail.outbox if export.sha256 in each.body)
        assert sent.to == ["alice@example.com"]
        link = next(word for word in sent.body.split() if "export-links" in word)
        path = link.removeprefix(live.HUB_PUBLIC_URL)
        assert len(lines(api.get(path).content)) == used  # nobody signed in
        assert api.get(path[:-3] + "x/").status_code == 404
        Export.objects.unscoped().filter(pk=export.pk).update(expires_at=clock.now() - timedelta(seconds=1))
        exports.relay()
        assert api.get(path).status_code == 409
        assert not default_storage.exists(export.file.name)


class TestMails:
    def test_a_refused_address_is_seen(
        self, api: Api, cast: Cast, used: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        export = made_export(cast)
        refused = smtplib.SMTPRecipientsRefused({"alice@example.com": (550, b"no such user")})
        answers: list[Any] = [smtplib.SMTPServerDisconnected("gone"), refused]

        def send(self: Any, **_: Any) -> int:
            raise answers.pop(0)

        monkeypatch.setattr(mails.EmailMessage, "send", send)
        own = Mail.objects.of(cast.company.pk)
        Mail.objects.unscoped().exclude(company=cast.company).update(state="sent")
        mails.send_due()
        assert (own.get().state, own.get().error) == ("pending", "SMTPServerDisconnected")
        own.update(next_at=clock.now())
        mails.send_due()

        told = api.as_(cast.alice).get(f"{LIST}{export.pk}/").json()["mails"]
        assert told == [
            {
                "to": "alice@example.com",
                "state": "failed",
                "attempts": 2,
                "error": "SMTPRecipientsRefused 550",
                "sent_at": None,
            }
        ]


class TestList:
    def test_it_works(self, api: Api, cast: Cast, used: int) -> None:
        export = made_export(cast)

        assert [row["id"] for row in api.as_(cast.alice).get(LIST).json()["results"]] == [export.pk]
        assert api.as_(cast.charlie).get(LIST).json()["results"] == []

    def test_one_brand_sees_its_own(self, api: Api, cast: Cast, used: int) -> None:
        export = made_export(cast)
        Membership.objects.of(cast.company.pk).get(user=cast.bob.user).brands.add(cast.brand)

        assert api.as_(cast.bob).get(f"{LIST}{export.pk}/").status_code == 404
        Export.objects.unscoped().filter(pk=export.pk).update(brand_ids=[cast.brand.pk])
        assert api.as_(cast.bob).get(f"{LIST}{export.pk}/").status_code == 200

    @pytest.mark.parametrize(
        ("query", "number"),
        [
            ("state=ready", 1),
            ("state=failed", 0),
            ("format=csv", 1),
            ("format=xlsx", 0),
            ("schedule=1", 0),
            ("created_at__gte=2020-01-01", 1),
            ("created_at__lte=2020-01-01", 0),
        ],
    )
    def test_filters(self, api: Api, cast: Cast, query: str, number: int) -> None:
        made_export(cast)

        assert api.as_(cast.alice).get(f"{LIST}?{query}").json()["count"] == number

    def test_orderings(self, api: Api, cast: Cast) -> None:
        made = [made_export(cast).pk, made_export(cast).pk]
        for name in ("id", "created_at", "finished_at"):
            found = api.as_(cast.alice).get(f"{LIST}?ordering={name}").json()["results"]
            assert [row["id"] for row in found] == made

    def test_pages(self, api: Api, cast: Cast) -> None:
        made = [made_export(cast).pk, made_export(cast).pk]
        for query in ("page=2&page_size=1", "cursor=&page_size=1&ordering=id"):
            found = api.as_(cast.alice).get(f"{LIST}?{query}").json()["results"]
            assert [row["id"] for row in found] == made[:1]


class TestDelete:
    def test_it_works(self, api: Api, cast: Cast, used: int) -> None:
        export = made_export(cast)

        assert api.as_(cast.bob).request("DELETE", f"{LIST}{export.pk}/").status_code == 403
        assert default_storage.exists(export.file.name)
        assert api.as_(cast.alice).request("DELETE", f"{LIST}{export.pk}/").status_code == 204
        assert not default_storage.exists(export.file.name)
        assert api.as_(cast.alice).get(f"{LIST}{export.pk}/").status_code == 404


NEW = {"name": "For the CFO", "period": "monthly", "delivery": "email", "recipients": ["cfo@example.com"]}


class TestSchedules:
    def test_it_works(self, api: Api, cast: Cast) -> None:
        alice = api.as_(cast.alice)
        response = alice.post(SCHEDULES, {**NEW, "filters": {"model": "o3"}, "brand_id": cast.brand.pk})

        assert response.status_code == 201, response.text
        told = response.json()
        month = clock.now().date().replace(day=1)
        assert told["next_start"] == str(month)
        assert told["next_run_at"] == f"{calendar.following('monthly', month)}T06:00:00Z"
        assert (told["brand_id"], told["filters"]) == (cast.brand.pk, {"model": "o3"})
        assert [row["id"] for row in alice.get(SCHEDULES).json()["results"]] == [told["id"]]
        assert api.as_(cast.bob).post(SCHEDULES, {**NEW, "name": "x"}).status_code == 403

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"period": "hourly"}, "period"),
            ({"hour": 24}, "hour"),
            ({"recipients": []}, "recipients"),
            ({"recipients": ["nobody"]}, "recipients.0"),
            ({"filters": {"colour": "blue"}}, "filters.colour"),
            ({"filters": {"total_cost__gte": "much"}}, "filters.total_cost__gte"),
            ({"filters": {"created_at__gte": "2026-01-01"}}, "filters.created_at__gte"),
        ],
    )
    def test_bad_input(self, api: Api, cast: Cast, change: dict[str, Any], field: str) -> None:
        response = api.as_(cast.alice).post(SCHEDULES, {**NEW, **change})

        assert (response.status_code, list(response.json()["field_errors"])) == (400, [field])
        assert not ExportSchedule.objects.of(cast.company.pk).exists()

    def test_a_name_once(self, api: Api, cast: Cast) -> None:
        assert api.as_(cast.alice).post(SCHEDULES, NEW).status_code == 201
        response = api.as_(cast.alice).post(SCHEDULES, NEW)
        assert (response.status_code, list(response.json()["field_errors"])) == (400, ["name"])

    def test_orderings(self, api: Api, cast: Cast) -> None:
        made = [made_schedule(cast, name).pk for name in ("a", "b")]
        for name in ("id", "name", "next_start", "created_at"):
            for query in ("page=1", "cursor=&page_size=2"):
                found = api.as_(cast.alice).get(f"{SCHEDULES}?ordering={name}&{query}").json()["results"]
                assert sorted(row["id"] for row in found) == made

    def test_changed_paused_and_deleted(self, api: Api, cast: Cast) -> None:
        schedule = made_schedule(cast)
        alice, path = api.as_(cast.alice), f"{SCHEDULES}{schedule.pk}/"

        assert alice.request("PATCH", path, json={"is_paused": True}).json()["next_run_at"] is None
        ExportSchedule.objects.unscoped().filter(pk=schedule.pk).update(next_start=date(2026, 1, 1))
        schedules.run_due()
        assert not Export.objects.of(cast.company.pk).exists()
        told = alice.request("PUT", path, json={"is_paused": False, "hour": 9}).json()
        assert (told["next_start"], told["hour"]) == (str(clock.now().date()), 9)
        assert alice.get(path).json() == told
        assert alice.request("DELETE", path).status_code == 204
        assert alice.get(path).status_code == 404

    def test_each_period_once(self, api: Api, cast: Cast, used: int) -> None:
        schedule = made_schedule(cast)
        start = clock.now().date() - timedelta(days=4)
        ExportSchedule.objects.unscoped().filter(pk=schedule.pk).update(next_start=start)

        def run(_: int) -> None:
            try:
                schedules.run_due()
            finally:
                connections.close_all()

        if connection.vendor == "postgresql":
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(run, range(4)))
        schedules.run_due()

        made = list(Export.objects.of(cast.company.pk).order_by("period_start"))
        days = [export.period_start for export in made]
        assert days == [start + timedelta(days=number) for number in range(len(days))]
        assert len(days) == (4 if clock.now().hour >= 6 else 3)
        assert {export.period_end == export.period_start for export in made} == {True}
        history = api.as_(cast.alice).get(f"{SCHEDULES}{schedule.pk}/history/").json()
        assert [row["id"] for row in history["results"]] == [export.pk for export in reversed(made)]
        for query in ("page=1&page_size=2", "cursor=&page_size=2"):
            page = api.as_(cast.alice).get(f"{SCHEDULES}{schedule.pk}/history/?{query}").json()["results"]
            assert len(page) == 2

    def test_a_periods_rows_are_the_days_own(self, cast: Cast, used: int) -> None:
        entry(cast, datetime(2026, 3, 1, 23, 30, tzinfo=UTC))  # in Zurich that is the second of March
        type(cast.company).objects.filter(pk=cast.company.pk).update(timezone="Europe/Zurich")
        schedule = made_schedule(cast)
        ExportSchedule.objects.unscoped().filter(pk=schedule.pk).update(next_start=date(2026, 3, 1))
        found = ExportSchedule.objects.unscoped().select_related("company").get(pk=schedule.pk)
        assert [schedules._step(found), schedules._step(found)] == [True, True]

        for export in Export.objects.of(cast.company.pk):
            exports.make(aged(export).pk)
        made = Export.objects.of(cast.company.pk).order_by("period_start")
        assert [export.row_count for export in made] == [0, 1]


def test_the_calendar() -> None:
    zone = clock.zone("Europe/Zurich")
    assert calendar.begin("weekly", date(2026, 11, 26)) == date(2026, 11, 23)
    assert calendar.begin("monthly", date(2026, 2, 28)) == date(2026, 2, 1)
    assert calendar.following("monthly", date(2026, 12, 1)) == date(2027, 1, 1)
    assert calendar.following("weekly", date(2026, 12, 28)) == date(2027, 1, 4)
    assert calendar.due_at("daily", date(2026, 3, 28), 6, zone).astimezone(UTC).hour == 4  # summer time


def test_by_performance_tier(api: Api, cast: Cast) -> None:
    entry(cast, clock.now() - timedelta(hours=1), model="o3")
    entry(cast, clock.now() - timedelta(hours=1), model="gpt-4o-mini")

    highest = api.as_(cast.alice).get("/ai/usage/?performance_tier=highest").json()["results"]
    assert [row["model_name"] for row in highest] == ["o3"]
    assert lines(api.as_(cast.alice).get(f"{ASK}?performance_tier=highest").content)[0]["model"] == "o3"
    assert api.as_(cast.alice).get("/ai/usage/?performance_tier=x").status_code == 400
