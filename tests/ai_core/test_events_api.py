"""``GET /ai/jobs/{id}/events/``: progress as server-sent events, resumed by Last-Event-ID."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

from django.db.models import F

from ai_core import pipeline
from ai_core.models import AIJob
from megahub.kernel import loop
from tests import world
from tests.conftest import CLIENT, Api
from tests.stubs import Scripted, completion
from tests.world import Cast

Provider = Callable[..., Scripted]
Rung = list[tuple[str, tuple[Any, ...], str]]
Event = tuple[int, str, dict[str, Any]]


def parse(text: str) -> list[Event]:
    found = []
    for part in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in part.split("\n") if ": " in line)
        if "event" in fields:
            found.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return found


def follow(api: Api, job: int | str, **headers: str) -> list[Event]:
    response = api.get(f"/ai/jobs/{job}/events/", headers=headers)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/event-stream"
    return parse(response.text)


def test_it_works(api: Api, cast: Cast, rung: Rung, provider: Provider) -> None:
    provider(completion("Hi."))
    job = world.submit(cast.alice, later=True)
    heard: list[Event] = []
    waiting = threading.Event()

    def listen() -> None:
        url = f"{api.url}/ai/jobs/{job.pk}/events/"
        with CLIENT.stream("GET", url, headers=api.as_(cast.alice).headers) as response:
            text = ""
            for piece in response.iter_text():
                text += piece
                if "progress" in text:
                    waiting.set()
            heard.extend(parse(text))

    listener = threading.Thread(target=listen)
    listener.start()
    assert waiting.wait(5)
    loop.run(pipeline.work(job.pk))
    listener.join(5)

    assert heard[0] == (1, "progress", {"status": "pending", "progress_percentage": 0})
    number, name, whole = heard[-1]
    assert (number, name) == (3, "completed")
    assert whole == api.as_(cast.alice).get(f"/ai/jobs/{job.pk}/").json()
    assert [event[0] for event in heard] == sorted({event[0] for event in heard})


def test_an_ended_job_is_told_at_once(api: Api, cast: Cast, provider: Provider) -> None:
    provider(completion())
    job = world.submit(cast.alice)
    loop.run(pipeline.run(job))

    (event,) = follow(api.as_(cast.alice), job.job_ref)

    assert event[1] == "completed"


def test_what_was_seen_is_not_told_again(api: Api, cast: Cast, rung: Rung) -> None:
    job = world.submit(cast.alice, later=True)
    rows = AIJob.objects.unscoped().filter(pk=job.pk)
    rows.update(revision=F("revision") + 1)
    timer = threading.Timer(0.8, lambda: loop.run(pipeline.cancel(job.pk, cast.company.pk)))
    timer.start()

    seen_first = follow(api.as_(cast.alice), job.pk, **{"Last-Event-ID": "2"})
    timer.join()

    assert [name for _, name, _ in seen_first] == ["cancelled"]


def test_a_number_is_needed(api: Api, cast: Cast, rung: Rung) -> None:
    job = world.submit(cast.alice, later=True)

    for value in ("x", "-1", "9" * 12):
        response = api.as_(cast.alice).get(f"/ai/jobs/{job.pk}/events/", headers={"Last-Event-ID": value})
        assert response.status_code == 400
        assert response.json()["field_errors"] == {"Last-Event-ID": ["Expected integer."]}


def test_strangers(api: Api, cast: Cast, rung: Rung) -> None:
    job = world.submit(cast.alice, later=True)

    assert api.get(f"/ai/jobs/{job.pk}/events/").status_code == 401
    foreign = api.as_(cast.charlie).get(f"/ai/jobs/{job.pk}/events/")
    absent = api.as_(cast.charlie).get("/ai/jobs/999999999/events/")
    assert (foreign.status_code, foreign.content) == (404, absent.content)


def test_many_streams_share_one_look(api: Api, cast: Cast, rung: Rung) -> None:
    jobs = [world.submit(cast.alice, later=True) for _ in range(8)]
    heard: list[list[Event]] = []
    threads = [
        threading.Thread(target=lambda pk=job.pk: heard.append(follow(api.as_(cast.alice), pk)))
        for job in jobs
    ]
    for thread in threads:
        thread.start()
    for job in jobs:
        loop.run(pipeline.cancel(job.pk, cast.company.pk))
    for thread in threads:
        thread.join(10)

    assert [events[-1][1] for events in heard] == ["cancelled"] * 8
