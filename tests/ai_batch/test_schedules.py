"""Recurring batches: made when they are due, once, with the day's words."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ai_batch.domain import recurring as rules
from ai_batch.domain.refusals import NoSuchSchedule
from ai_batch.models import Batch, BatchSchedule
from ai_batch.services import recurring
from megahub.kernel import clock
from tests.ai_batch.conftest import line, work
from tests.conftest import Api
from tests.world import Cast

pytestmark = pytest.mark.usefixtures("rung")
ASKED = {
    "name": "Each morning",
    "cron": "0 6 * * *",
    "timezone": "Europe/Paris",
    "endpoint": "/v1/chat/completions",
    "engine": "hub",
    "metadata": {"k": "v"},
    "requests": [line("news-{{date}}", "What happened on {{yesterday}}?")],
}
PATH = "/api/batch/schedules"


def test_it_works(api: Api, cast: Cast) -> None:
    alice = api.as_(cast.alice)
    made = alice.post(PATH, ASKED).json()["schedule"]
    assert (made["paused"], made["cron"], made["timezone"]) == (False, "0 6 * * *", "Europe/Paris")
    assert alice.get(PATH).json()["data"] == [made]
    assert alice.get(f"{PATH}/{made['id']}").json()["schedule"] == made
    assert recurring.run_due() == 0

    due = datetime(2026, 3, 1, 5, tzinfo=UTC)
    rows = BatchSchedule.objects.of(cast.company.pk)
    rows.update(next_at=due)
    mine = rows.select_related("template").get()
    assert recurring.run(mine) is True
    assert recurring.run(mine) is False  # whoever looked at the same time
    batch = Batch.objects.of(cast.company.pk).get()
    assert (batch.metadata, batch.engine_asked) == ({"k": "v"}, "hub")
    done = work(batch)
    assert done.lines.get().custom_id == "news-2026-03-01"
    sent = json.loads(alice.get(f"/v1/files/{batch.file_asked}/content").text)
    assert sent["body"]["messages"][0]["content"] == "What happened on 2026-02-28?"
    (told,) = alice.get(f"{PATH}/{made['id']}/history").json()["data"]
    assert (told["id"], told["status"]) == (batch.batch_id, "completed")
    assert rows.get().next_at > clock.now()


def test_its_batches_are_made_as_others_are(api: Api, cast: Cast, rung: list[Any], settings: Any) -> None:
    settings.HUB_BATCH_MAX_ATTEMPTS = 7
    api.as_(cast.alice).post(PATH, ASKED)
    schedule = BatchSchedule.objects.of(cast.company.pk).select_related("template").get()
    assert recurring.run(schedule) is True
    batch = Batch.objects.of(cast.company.pk).get()
    assert (batch.max_attempts, batch.schedule_id, batch.created_by_id, batch.api_key_id) == (
        7,
        schedule.pk,
        cast.alice.user.pk,
        None,
    )
    assert rung == [("ai_batch.validate", (batch.pk,), "normal")]


def test_pause_and_change(api: Api, cast: Cast) -> None:
    alice = api.as_(cast.alice)
    made = alice.post(PATH, ASKED).json()["schedule"]
    path = f"{PATH}/{made['id']}"
    told = alice.request("PATCH", path, json={"paused": True, "name": "Later"}).json()["schedule"]
    assert (told["paused"], told["next_at"], told["name"]) == (True, None, "Later")
    told = alice.request("PATCH", path, json={"paused": False, "cron": "0 7 * * *"}).json()["schedule"]
    assert told["next_at"] == int(rules.following("0 7 * * *", "Europe/Paris", clock.now()).timestamp())
    assert alice.request("DELETE", path).json()["deleted"] is True
    assert alice.get(path).status_code == 404
    assert recurring.run_due() == 0


def a_schedule(api: Api, cast: Cast) -> Any:
    api.as_(cast.alice).post(PATH, ASKED)
    return BatchSchedule.objects.of(cast.company.pk).select_related("template").get()


def test_another_name_undoes_nobodys_pause(api: Api, cast: Cast) -> None:
    seen = a_schedule(api, cast)
    BatchSchedule.objects.of(cast.company.pk).update(next_at=None)  # somebody pauses it meanwhile
    changed = recurring.change(seen, {"name": "Later"})
    row = BatchSchedule.objects.of(cast.company.pk).get()
    assert (changed.next_at, row.next_at, row.name) == (None, None, "Later")


def test_another_name_takes_no_run_away(api: Api, cast: Cast) -> None:
    due = datetime(2026, 3, 1, 5, tzinfo=UTC)
    seen = a_schedule(api, cast)
    BatchSchedule.objects.of(cast.company.pk).update(next_at=due)
    recurring.change(seen, {"name": "Later", "cron": seen.cron, "timezone": seen.timezone})
    assert BatchSchedule.objects.of(cast.company.pk).get().next_at == due
    BatchSchedule.objects.of(cast.company.pk).update(next_at=None)  # due in no other test


def test_what_is_deleted_meanwhile_stays_so(api: Api, cast: Cast) -> None:
    seen = a_schedule(api, cast)
    recurring.delete(BatchSchedule.objects.of(cast.company.pk).get())
    with pytest.raises(NoSuchSchedule):
        recurring.change(seen, {"paused": False})
    row = BatchSchedule.objects.of(cast.company.pk).get()
    assert (row.next_at, row.name) == (None, "Each morning")


def test_a_clock_that_nobody_can_read_blocks_no_other(api: Api, cast: Cast) -> None:
    """A zone that this host no longer knows: its schedule is paused and says why, the next one runs."""
    for name in ("first", "second"):
        api.as_(cast.alice).post(PATH, {**ASKED, "name": name})
    rows = BatchSchedule.objects.of(cast.company.pk)
    rows.filter(name="first").update(timezone="Mars/Base", next_at=datetime(2026, 3, 1, tzinfo=UTC))
    rows.filter(name="second").update(next_at=datetime(2026, 3, 2, tzinfo=UTC))
    recurring.run_due()
    first, second = rows.get(name="first"), rows.get(name="second")
    assert (first.next_at, first.last_error) == (None, "There is no time zone 'Mars/Base'.")
    assert (second.last_error, Batch.objects.of(cast.company.pk).get().schedule_id) == ("", second.pk)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"cron": "61 * * * *"}, "cron"),
        ({"cron": None}, "cron"),
        ({"timezone": "Mars/Base"}, "timezone"),
        ({"name": 5}, "name"),
        ({"requests": []}, "requests"),
        ({"endpoint": "/v1/odd"}, "endpoint"),
        ({"colour": 1}, "colour"),
    ],
)
def test_bad_input(api: Api, cast: Cast, change: dict[str, Any], param: str) -> None:
    answer = api.as_(cast.alice).post(PATH, {**ASKED, **change})
    assert answer.status_code == 400
    assert param in answer.json()["detail"] or answer.json()["detail"].startswith("Invalid value")
    assert not BatchSchedule.objects.of(cast.company.pk).exists()


def test_summer_time(api: Api) -> None:
    """At six in Paris, whatever that is in UTC."""
    winter = rules.following("0 6 * * *", "Europe/Paris", datetime(2026, 3, 28, 12, tzinfo=UTC))
    summer = rules.following("0 6 * * *", "Europe/Paris", winter + timedelta(hours=1))
    assert [moment.hour for moment in (winter, summer)] == [4, 4]
    before = rules.following("0 6 * * *", "Europe/Paris", datetime(2026, 3, 27, 12, tzinfo=UTC))
    assert before.hour == 5
