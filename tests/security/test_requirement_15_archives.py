"""Requirement 15: a workbook is looked at before it is unpacked, and nothing in it names a file of ours."""

from __future__ import annotations

import io
import re
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import xlsxwriter

from ai_batch.domain import tables
from ai_batch.models import Batch, StoredFile
from megahub.kernel.errors import HubError
from tests.conftest import Api
from tests.world import Cast

STRINGS = "xl/sharedStrings.xml"
SPREADSHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
CHAT = "/v1/chat/completions"
MEBIBYTE = 1024 * 1024
STATUS = Path("/proc/self/status")


def workbook() -> bytes:
    file = io.BytesIO()
    book = xlsxwriter.Workbook(file)
    sheet = book.add_worksheet()
    sheet.write_row(0, 0, ["custom_id", "prompt"])
    sheet.write_row(1, 0, ["one", "Hello"])
    book.close()
    return file.getvalue()


def remade(change: Callable[[zipfile.ZipFile], None], strings: bytes | None = None) -> bytes:
    """A workbook with other shared strings, or with more in its archive."""
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(workbook())) as old,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for part in old.infolist():
            own = part.filename == STRINGS and strings is not None
            new.writestr(part.filename, strings if own else old.read(part.filename))
        change(new)
    return out.getvalue()


def nothing(_: zipfile.ZipFile) -> None:
    """No change."""


def shared(declaration: str, text: str) -> bytes:
    return remade(
        nothing,
        f'<?xml version="1.0"?>{declaration}<sst xmlns="{SPREADSHEET}"><si><t>custom_id</t></si>'
        f"<si><t>prompt</t></si><si><t>one</t></si><si><t>{text}</t></si></sst>".encode(),
    )


def laughs() -> bytes:
    """A billion of them."""
    entities = ['<!ENTITY l0 "lollollollol">']
    entities += [f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10)]
    return shared(f"<!DOCTYPE lolz [{''.join(entities)}]>", "&l9;")


def outside() -> bytes:
    return shared('<!DOCTYPE x [<!ENTITY out SYSTEM "file:///etc/passwd">]>', "&out;")


def proportion() -> bytes:
    return remade(lambda new: new.writestr("xl/media/zeros.bin", b"\0" * (40 * MEBIBYTE)))


def many_parts() -> bytes:
    def add(new: zipfile.ZipFile) -> None:
        for number in range(tables.MAX_PARTS):
            new.writestr(f"xl/p{number}", b"")

    return remade(add)


def million_strings() -> bytes:
    return remade(nothing, b"<sst>" + b"<si><t>x</t></si>" * 1_000_000 + b"</sst>")


def liar() -> bytes:
    """It says of its shared strings that they are a hundred bytes."""
    strings = b"<sst>" + b"<si><t>x</t></si>" * 2_000_000 + b"</sst>"
    whole = remade(nothing, strings)
    assert whole.count(struct.pack("<I", len(strings))) == 2
    return whole.replace(struct.pack("<I", len(strings)), struct.pack("<I", 100))


def nested() -> bytes:
    """Archives within archives: 42.zip's kind."""
    inner = proportion()
    for _ in range(5):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("0.zip", inner)
        inner = out.getvalue()
    return inner


def resident(line: str = "VmRSS") -> int:
    """What this process holds, in KiB (VmRSS), or the most since that was asked for (VmHWM): on Linux."""
    if not STATUS.exists():
        return 0
    told = re.search(rf"^{line}:\s+(\d+) kB$", STATUS.read_text(), re.MULTILINE)
    assert told
    if line == "VmRSS":
        Path("/proc/self/clear_refs").write_text("5")  # the kernel forgets the process's peak
    return int(told[1])


ATTACKS = [laughs, proportion, many_parts, million_strings, liar, nested]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda it: it.__name__)
def test_it_is_refused_and_nothing_is_left(
    api: Api, cast: Cast, attack: Callable[[], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    content = attack()
    before = resident()

    answer = api.as_(cast.alice).post(
        "/api/batch/create", data={"endpoint": CHAT}, files={"file": ("t.xlsx", content)}
    )

    assert answer.status_code == 400
    assert list(answer.json()["field_errors"]) == ["file"]
    assert resident("VmHWM") - before < 64 * 1024
    assert not StoredFile.objects.of(cast.company.pk).exists()
    assert not Batch.objects.of(cast.company.pk).exists()


def test_an_entity_reaches_no_file() -> None:
    try:
        told = str(list(tables.of_workbook(io.BytesIO(outside()))))
    except HubError as error:
        told = str(error.facts)
    assert "root:" not in told


@pytest.mark.parametrize("name", ["../../slipped", "/tmp/slipped", "..\\..\\slipped", "xl/../../slipped"])
def test_a_part_that_climbs_is_written_nowhere(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    found = list(tables.of_workbook(io.BytesIO(remade(lambda new: new.writestr(name, b"slipped")))))

    assert found == [{"custom_id": "one", "prompt": "Hello"}]
    assert list(tmp_path.rglob("*")) == []
    assert not Path("/tmp/slipped").exists()


def test_a_link_is_not_followed() -> None:
    def link(new: zipfile.ZipFile) -> None:
        part = zipfile.ZipInfo("xl/worksheets/sheet2.xml")
        part.external_attr = (stat.S_IFLNK | 0o777) << 16
        new.writestr(part, "/etc/passwd")

    assert list(tables.of_workbook(io.BytesIO(remade(link)))) == [{"custom_id": "one", "prompt": "Hello"}]
