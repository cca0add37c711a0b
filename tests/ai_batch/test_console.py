"""The page of batches as a document: its policy, its words, its library; browsers are in tests/browser."""

from __future__ import annotations

import hashlib
import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import httpx2
import pytest

from ai_batch.api import console_texts
from ai_batch.domain.lines import ENDPOINTS
from ai_batch.models import OVER, Batch
from tests.conftest import Api

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPTS = ROOT / "ai_batch" / "static" / "ai_batch" / "console"
SAID = re.compile(r'(?<![\w.])t\("((?:[^"\\]|\\.)*)"')
#: As npm has them; package.json beside them says which releases.
LIBRARY = {
    "preact.mjs": "bdcbd9abdf2c77c5c45326eab42191e949222d479d0d5f69467387a77040cb55",
    "htm.mjs": "ab33dd3f38059b9be4d5f5350128eefb2356639c4e0bbe9d9e8b3ba75847e9e4",
}


def test_it_works(api: Api) -> None:
    answer = api.get("/console/batches/")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = answer.headers["content-security-policy"]
    assert policy.split("; ")[0] == "default-src 'self'"
    assert "unsafe" not in policy
    assert answer.headers["x-frame-options"] == "DENY"
    assert re.findall(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=", answer.text) == []
    assets = re.findall(r'(?:src|href)="(/[^"]+)"', answer.text)
    assert len(assets) == 3
    for path in assets:
        assert api.get(path).status_code == 200, path
    assert re.findall(r'(?:src|href)="(?!/|#|\?)', answer.text) == []


def test_it_speaks_the_readers_language(api: Api) -> None:
    french = api.get("/console/batches/", headers={"Accept-Language": "fr"})
    texts = json.loads(html.unescape(re.findall(r'data-texts="([^"]*)"', french.text)[0]))
    assert '<html lang="fr">' in french.text
    assert (texts["New batch"], texts["status.completed"]) == ("Nouveau lot", "Terminé")
    path = f"{api.url}/console/batches/?language=fr"
    chosen = httpx2.get(path, trust_env=False)  # the suite's client would keep the cookie
    assert (chosen.status_code, chosen.headers["location"]) == (302, "/console/batches/")
    assert "django_language=fr" in chosen.headers["set-cookie"]
    assert api.get("/console/batches/?language=xx").status_code == 200


def test_the_script_repeats_no_list_of_the_servers(api: Api) -> None:
    told = re.findall(r'data-lists="([^"]*)"', api.get("/console/batches/").text)[0]
    lists = json.loads(html.unescape(told))
    assert (lists["statuses"], lists["endpoints"]) == (Batch.Status.values, list(ENDPOINTS))
    assert set(lists["over"]) == OVER
    for path in SCRIPTS.glob("*.js"):
        text = path.read_text()
        assert "/v1/completions" not in text, path.name
        assert "expired" not in text, path.name


def test_a_day_ends_where_the_next_begins() -> None:
    """Also where the clock is changed: 29 March has 23 hours in Paris, 25 October has 25."""
    days = "['2026-03-28', '2026-03-29', '2026-10-25', '2026-12-31']"
    asked = f"{days}.map((d) => (dayStart(d, 1) - dayStart(d)) / 3600)"
    assert from_node("texts.js", "dayStart", asked) == "24,23,25,24"


def test_who_runs_more_batches_than_are_listened_to_asks_for_them_more_often() -> None:
    assert from_node("history.js", "pauseFor", "[0, 3, 4, 20].map(pauseFor)") == "30000,30000,5000,5000"


def from_node(script: str, function: str, asked: str) -> str:
    """What a script's function says to Node, with the script's numbers; in Paris."""
    source = (SCRIPTS / script).read_text()
    found = re.findall(rf"^export (function {function}\(.*?\n}})", source, re.DOTALL | re.MULTILINE)[0]
    numbers = "\n".join(re.findall(r"^const [A-Z_]+ = [\d_]+;$", source, re.MULTILINE))
    node = shutil.which("node")
    if node is None:
        pytest.skip("no Node here")
    told = subprocess.run(
        [node, "-e", f"{numbers}\n{found}\nconsole.log({asked}.join())"],
        env={"TZ": "Europe/Paris"},
        capture_output=True,
        text=True,
        check=True,
    )
    return told.stdout.strip()


def test_the_guides_page_leads_there(api: Api) -> None:
    answer = api.get("/batch-api.html")
    assert (answer.status_code, answer.headers["location"]) == (302, "/console/batches/")


def test_every_sentence_of_the_script_is_told_by_the_server() -> None:
    asked = {text for path in SCRIPTS.glob("*.js") for text in SAID.findall(path.read_text())}
    assert asked == set(console_texts.keys())


def test_scripts_take_nothing_from_elsewhere() -> None:
    for path in SCRIPTS.glob("*.js"):
        text = path.read_text()
        assert "http" not in re.sub(r"https?://www\.w3\.org/\S+", "", text), path.name
        assert re.findall(r"\beval\(|new Function|innerHTML|\bstyle=", text) == [], path.name
        assert len(text.splitlines()) <= 400, path.name


@pytest.mark.parametrize("name", sorted(LIBRARY))
def test_the_library_is_as_it_was_published(name: str) -> None:
    assert hashlib.sha256((SCRIPTS / "vendor" / name).read_bytes()).hexdigest() == LIBRARY[name]
    assert (SCRIPTS / "vendor" / name.replace(".mjs", ".LICENSE")).exists()
