"""The page ``/console/batches/`` in a real browser: from signing in to the results on disk."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from ai_batch.models import Batch, BatchSchedule
from ai_batch.services import engine, ingest
from megahub.kernel import loop
from megahub.tenancy import members
from megahub.tenancy.models import Membership, User
from tests.ai_batch.conftest import jsonl, line, work
from tests.conftest import Api
from tests.world import Cast, Person

pytestmark = pytest.mark.usefixtures("rung")
PATH = "/console/batches/"
PASSWORD = "correct horse"
AXE = Axe()
BAD = "no [sandbox: refuse_param=max_tokens]"
Open = Callable[..., Page]

PATIENCE_MS = 15_000


@pytest.fixture
def open_page(browser: Browser, live_url: str) -> Iterator[Callable[..., Page]]:
    """``open_page(path, **context)``: a page in a context of its own; faults of its scripts fail the test.

    Not ``window``: what the hub refuses here, and the page tells, is no fault.
    """
    contexts, complaints = [], []

    def elsewhere(url: str) -> None:
        if not url.startswith((live_url, "blob:")):
            complaints.append(f"asks {url}")

    def opened(path: str, **options: Any) -> Page:
        context = browser.new_context(base_url=live_url, locale="en-GB", **options)
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda told: complaints.append(told.text) if "Content Security" in told.text else None,
        )
        page.on("request", lambda asked: elsewhere(asked.url))
        answer = page.goto(path)
        assert answer is not None
        assert answer.ok, f"{path}: {answer.status} {answer.text()[:500]}"
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def sign_in(page: Page, person: Person, button: str = "Sign in") -> None:
    page.locator("input[name=username]").fill(person.user.username)
    page.locator("input[name=password]").fill(PASSWORD)
    page.get_by_role("button", name=button).click()
    page.locator("#creation").wait_for()


def the_batch(cast: Cast) -> Batch:
    return Batch.objects.of(cast.company.pk).get()


def choose(page: Page, name: str, content: bytes) -> None:
    page.get_by_role("radio", name="Advanced").click()
    file = {"name": name, "mimeType": "application/octet-stream", "buffer": content}
    page.locator("input[type=file]").set_input_files(files=[file])


def test_from_an_upload_to_the_results(open_page: Open, cast: Cast, api: Api, tmp_path: Path) -> None:
    page = open_page(PATH)
    sign_in(page, cast.alice)
    requests = [line("a", "Hi"), line("b", "wait [sandbox: delay=3s]"), line("c", BAD)]
    choose(page, "morning.jsonl", jsonl(*requests))
    findings = page.locator(".findings")
    expect(findings).to_contain_text("Requests3")
    expect(findings).to_contain_text("Cost, at most$0.00")
    page.get_by_role("button", name="Create the batch").click()
    expect(page.get_by_role("status")).to_have_text("The batch was created.")
    card = page.get_by_role("listitem").filter(has_text="morning.jsonl")
    expect(card).to_contain_text("Validating")
    expect(card.get_by_role("heading")).to_be_focused()

    batch = the_batch(cast)
    Batch.objects.unscoped().filter(pk=batch.pk).update(engine_asked="hub")
    ingest.validate(batch.pk)
    loop.run(engine.wake())
    expect(card).to_contain_text("2 of 3 requests")  # told by the stream, before any refresh
    expect(card.get_by_role("progressbar")).to_have_attribute("value", "66.7")
    work(batch)
    expect(card).to_contain_text("Completed")
    expect(page.get_by_role("status")).to_have_text("The batch morning.jsonl is now: Completed.")

    path = f"/api/batch/{batch.batch_id}/results"
    for group, kind in (("Results", "output"), ("Errors", "error")):
        with page.expect_download() as started:
            card.get_by_role("group", name=group).get_by_role("button", name="JSONL").click()
        kept = tmp_path / started.value.suggested_filename
        started.value.save_as(kept)
        assert kept.name == f"{batch.batch_id}_{kind}.jsonl"
        assert kept.read_text() == api.as_(cast.alice).get(f"{path}?type={kind}").text
    assert [json.loads(each)["custom_id"] for each in kept.read_text().splitlines()] == ["c"]

    card.get_by_role("button", name="Retry failed requests").click()
    expect(page.get_by_role("status")).to_have_text("A batch of the failed requests was created.")
    assert Batch.objects.of(cast.company.pk).get(parent=batch).status == "validating"


def test_pasted_texts(open_page: Open, cast: Cast) -> None:
    page = open_page(PATH)
    sign_in(page, cast.alice)
    page.get_by_label("Texts, one per line").fill("Good morning\n\n  Good night  \n")
    page.get_by_label("Instruction for every text").fill("Translate into French.")
    page.get_by_label("Tokens per answer, at most").fill("40")
    page.get_by_label("Name (optional)").fill("Greetings")
    expect(page.locator("#lines-count")).to_have_text("Texts: 2")
    expect(page.locator(".findings")).to_contain_text("Tokens in, about")
    page.get_by_role("button", name="Create the batch").click()
    expect(page.get_by_role("listitem").filter(has_text="Greetings")).to_be_visible()
    batch = the_batch(cast)
    assert batch.metadata == {"name": "Greetings"}
    Batch.objects.unscoped().filter(pk=batch.pk).update(engine_asked="hub")
    assert work(batch).completed == 2
    assert [each.custom_id for each in batch.lines.order_by("line_no")] == ["text-1", "text-2"]


def test_errors_by_line_before_anything_is_sent(open_page: Open, cast: Cast) -> None:
    page = open_page(PATH)
    sign_in(page, cast.alice)
    choose(page, "odd.jsonl", jsonl(line("a"), line("b", temperature=9)) + b"{oops\n")
    rows = page.get_by_role("region", name="Errors by line").get_by_role("row")
    expect(rows).to_have_count(3)
    expect(rows.nth(1)).to_contain_text("2body.temperature")
    expect(rows.nth(2)).to_contain_text("3This line is not parseable as valid JSON.")
    expect(page.get_by_role("button", name="Create the batch")).to_be_disabled()
    assert not Batch.objects.of(cast.company.pk).exists()


def test_a_table_is_dropped(open_page: Open, cast: Cast) -> None:
    page = open_page(PATH)
    sign_in(page, cast.alice)
    page.get_by_role("radio", name="Advanced").click()
    dropped = page.evaluate_handle(
        """() => {
            const files = new DataTransfer();
            files.items.add(new File(["text\\nGood morning\\nGood night\\n"], "texts.csv"));
            return files;
        }"""
    )
    page.locator(".drop").dispatch_event("drop", {"dataTransfer": dropped})
    expect(page.get_by_role("alert")).to_contain_text("Unknown column 'text'")
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "{{text}}"}]}
    page.get_by_label("Template").fill(json.dumps(body))
    expect(page.locator(".findings")).to_contain_text("Requests2")


def test_another_wish_is_another_batch(open_page: Open, cast: Cast) -> None:
    """What failed is sent under the same key, unless something about it was changed: the mail, too."""
    page = open_page(PATH)
    sign_in(page, cast.alice)
    keys: list[str] = []

    def refuse(route: Any) -> None:
        keys.append(route.request.headers["idempotency-key"])
        route.fulfill(status=503, json={"detail": "Not now."})

    page.route("**/api/batch/create", refuse)
    page.get_by_label("Texts, one per line").fill("Good morning")
    button = page.get_by_role("button", name="Create the batch")
    for change in (None, None, "E-mail me at the end"):
        if change:
            page.get_by_label(change).check()
        with page.expect_response("**/api/batch/create"):
            button.click()
        expect(page.get_by_text("Not now.")).to_be_visible()
        expect(button).to_be_enabled()
    assert (keys[0] == keys[1], keys[1] == keys[2]) == (True, False)


def test_a_stream_that_ends_is_not_opened_again_at_once(open_page: Open, cast: Cast, api: Api) -> None:
    asked = {"endpoint": "/v1/chat/completions", "requests": [line("a")], "engine": "hub"}
    api.as_(cast.alice).post("/api/batch/create", asked)
    page = open_page(PATH)
    opened: list[str] = []

    def ends(route: Any) -> None:
        opened.append(route.request.url)
        route.fulfill(status=200, content_type="text/event-stream", body="")

    page.route("**/events", ends)
    sign_in(page, cast.alice)
    page.wait_for_timeout(2_500)
    assert 1 <= len(opened) < 10


def test_cancel(open_page: Open, cast: Cast, api: Api) -> None:
    asked = {"endpoint": "/v1/chat/completions", "requests": [line("a")], "engine": "hub"}
    api.as_(cast.alice).post("/api/batch/create", asked)
    page = open_page(PATH)
    sign_in(page, cast.alice)
    card = page.get_by_role("listitem").filter(has_text="requests.jsonl")
    card.get_by_role("button", name="Cancel the batch").first.press("Enter")
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Let it run").press("Enter")
    expect(dialog).to_be_hidden()
    assert the_batch(cast).status == "validating"
    card.get_by_role("button", name="Cancel the batch").first.click()
    dialog.get_by_role("button", name="Cancel the batch").click()
    expect(card).to_contain_text("Cancelling")
    assert the_batch(cast).stop == "cancelled"


def test_a_wrong_password_and_signing_out(open_page: Open, cast: Cast) -> None:
    page = open_page(PATH)
    page.get_by_label("User name").fill(cast.alice.user.username)
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_label("User name")).to_be_focused()
    sign_in(page, cast.alice)
    page.reload()
    expect(page.get_by_text(f"Signed in as {cast.alice.user.username}")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("User name")).to_be_focused()
    assert page.evaluate("sessionStorage.length") == 0


def test_french(open_page: Open, cast: Cast) -> None:
    page = open_page("/batch-api.html")
    page.get_by_role("link", name="Français").click()
    expect(page.locator("html")).to_have_attribute("lang", "fr")
    sign_in(page, cast.alice, "Se connecter")
    expect(page.get_by_role("heading", name="Nouveau lot")).to_be_visible()
    choose_french = page.get_by_role("radio", name="Avancé")
    choose_french.check()
    file = {"name": "t.csv", "mimeType": "text/csv", "buffer": b"colour\nred\n"}
    page.locator("input[type=file]").set_input_files(files=[file])
    expect(page.get_by_role("alert")).to_contain_text("Colonne")  # the hub's own words too
    page.reload()
    expect(page.get_by_role("heading", name="Historique")).to_be_visible()


def test_the_language_is_that_of_mails_too(open_page: Open, cast: Cast) -> None:
    page = open_page(PATH)
    page.get_by_role("link", name="Français").click()
    page.get_by_role("button", name="Se connecter").wait_for()
    assert User.objects.get(pk=cast.bob.user.pk).language == ""  # nobody was signed in
    sign_in(page, cast.bob, "Se connecter")

    page.get_by_role("link", name="English").click()

    expect(page.get_by_role("heading", name="New batch")).to_be_visible()
    assert User.objects.get(pk=cast.bob.user.pk).language == "en"


class TestInvitation:
    """The link of an invitation's mail."""

    @staticmethod
    def link(cast: Cast) -> str:
        asked = {"email": "", "role": "member", "brands": [], "expires_in_days": 7}
        return f"{PATH}#invitation={members.invite(cast.alice.caller, asked)[1]}"

    @staticmethod
    def fill(page: Page, username: str, password: str) -> None:
        page.locator("input[name=username]").fill(username)
        page.locator("input[name=password]").fill(password)
        page.get_by_role("button", name="Accept the invitation").click()

    def test_with_a_new_account(self, open_page: Open, cast: Cast) -> None:
        name = f"dora-{cast.alice.user.username}"
        page = open_page(self.link(cast))
        expect(page.get_by_role("heading", name="Accept the invitation")).to_be_visible()
        assert AXE.run(page).response["violations"] == []

        self.fill(page, name, "a long unlikely passphrase 47")
        expect(page.get_by_role("alert")).to_contain_text("No active account")
        page.get_by_label("Make a new account").check()
        page.get_by_role("button", name="Accept the invitation").click()

        page.locator("#creation").wait_for()
        expect(page.get_by_text(f"Signed in as {name}")).to_be_visible()
        assert "#" not in page.url
        joined = Membership.objects.of(cast.company.pk).get(user__username=name)
        assert joined.role == "member"

    def test_with_an_account_while_signed_in(self, open_page: Open, cast: Cast) -> None:
        page = open_page(PATH)
        sign_in(page, cast.charlie)
        page.goto(self.link(cast))
        page.reload()

        self.fill(page, cast.charlie.user.username, PASSWORD)

        page.locator("#creation").wait_for()
        assert Membership.objects.of(cast.company.pk).filter(user=cast.charlie.user).exists()

    def test_it_can_be_left(self, open_page: Open, cast: Cast) -> None:
        page = open_page(self.link(cast))

        page.get_by_role("button", name="Not now").click()

        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        assert "#" not in page.url


def test_a_schedule(open_page: Open, cast: Cast) -> None:
    page = open_page(PATH)
    sign_in(page, cast.alice)
    page.get_by_label("Name (optional)").fill("Mine")
    page.get_by_role("radio", name="Advanced").click()
    page.get_by_label("Attempts per request").fill("2")
    page.get_by_label("Seconds before the next attempt").fill("9")
    page.get_by_role("radio", name="Simple").click()
    page.get_by_label("Texts, one per line").fill("What is new on {{date}}?")
    page.get_by_text("Repeat it on a schedule").click()
    page.get_by_label("Name of the schedule").fill("News")
    page.get_by_label("Cron expression").fill("0 6 * * 1")
    page.get_by_label("Time zone").fill("Europe/Zurich")
    page.get_by_role("button", name="Save the schedule").click()
    card = page.get_by_role("listitem").filter(has_text="News")
    expect(card).to_contain_text("0 6 * * 1 · Europe/Zurich")
    card.get_by_role("button", name="Pause").click()
    expect(card).to_contain_text("Paused")
    schedule = BatchSchedule.objects.of(cast.company.pk).get()
    assert schedule.next_at is None
    named = {name: schedule.fields.get(name) for name in ("metadata", "max_attempts", "backoff_seconds")}
    assert named == {"metadata": {"name": "Mine"}, "max_attempts": 2, "backoff_seconds": 9}
    card.get_by_role("button", name="Delete").click()
    expect(card).to_have_count(0)


def test_filters_and_older_batches(open_page: Open, cast: Cast, api: Api) -> None:
    for number in range(22):
        asked = {
            "endpoint": "/v1/chat/completions",
            "requests": [line("a")],
            "metadata": {"name": f"n{number}"},
        }
        api.as_(cast.alice).post("/api/batch/create", asked)
    Batch.objects.of(cast.company.pk).filter(metadata__name="n3").update(status="expired")
    page = open_page(PATH, viewport={"width": 360, "height": 740})
    sign_in(page, cast.alice)
    cards = page.locator("li.batch")
    expect(cards).to_have_count(20)
    page.get_by_role("button", name="Older batches").click()
    expect(cards).to_have_count(22)
    page.get_by_label("Status").select_option("expired")
    expect(cards).to_have_count(1)
    expect(cards).to_contain_text("n3")
    page.get_by_label("Search", exact=True).fill("nothing like it")
    expect(page.get_by_text("No batches.")).to_be_visible()
    choose(page, "odd.jsonl", jsonl(line("a", temperature=9)))
    page.get_by_role("region", name="Errors by line").wait_for()
    page.get_by_text("Repeat it on a schedule").click()
    width = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width[0] <= width[1]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_keeps_people_out(open_page: Open, cast: Cast, api: Api, scheme: str) -> None:
    """Names, roles, contrast, headings: what axe can tell, signed out and in."""
    asked = {"endpoint": "/v1/chat/completions", "requests": [line("a"), line("b", BAD)], "engine": "hub"}
    api.as_(cast.alice).post("/api/batch/create", asked)
    work(the_batch(cast))
    page = open_page(PATH, color_scheme=scheme)
    assert AXE.run(page).response["violations"] == []
    sign_in(page, cast.alice)
    choose(page, "odd.jsonl", jsonl(line("a", temperature=9)))
    page.get_by_role("region", name="Errors by line").wait_for()
    page.get_by_text("Repeat it on a schedule").click()
    page.locator("li.batch").wait_for()
    assert AXE.run(page).response["violations"] == []
