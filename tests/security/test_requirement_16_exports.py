"""Requirement 16: no cell of an export can be run by a spreadsheet."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from io import BytesIO

import pytest

from ai_core.models import AIJob
from ai_usage.domain import exports
from tests.conftest import Api
from tests.stubs import Scripted, completion
from tests.world import Cast

FORMULA = "cmd|' /C calc'!A0"
STARTS = ["=", "+", "-", "@", "＝", "＋", "－", "＠"]
BEFORE = [
    "",
    " ",
    "   ",
    "\u00a0",
    "\u3000",
    "\u200b",
    "\ufeff",
    "\t",
    "\r",
    "\n",
    "text\n",
    "text\r\n",
    "a\u2028",
    "a\x0b",
]
PAYLOADS = [f"{before}{start}{FORMULA}" for before in BEFORE for start in STARTS]


@pytest.mark.parametrize("text", PAYLOADS)
def test_a_cell_begins_with_an_apostrophe(text: str) -> None:
    assert exports.inert(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "a=1", "plain", "漢字", "1", "a\nb", "e-mail", "2 - 1", "a\n b"])
def test_what_cannot_run_stays(text: str) -> None:
    assert exports.inert(text) == text


@pytest.mark.parametrize("format", ["csv", "xlsx"])
def test_through_the_api(api: Api, cast: Cast, provider: Callable[..., Scripted], format: str) -> None:
    provider(completion())
    evil = "\u00a0=1+1"
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}], "description": evil}
    assert api.as_(cast.alice).post("/ai/openai/chat/", body).status_code == 200
    assert AIJob.objects.of(cast.company.pk).get().description == evil

    response = api.as_(cast.alice).get(f"/ai/usage/export/?format={format}")

    assert "\n" not in response.headers["content-disposition"]
    if format == "csv":
        assert f'"\'{evil}"' in response.content.decode("utf-8-sig")
    else:
        with zipfile.ZipFile(BytesIO(response.content)) as book:
            sheets = [book.read(name).decode() for name in book.namelist() if "sheet" in name]
        assert not any("<f>" in sheet for sheet in sheets)
