"""``/ai/rate-limits/``, and that each limit refuses: on every surface, exactly, across processes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from ai_batch.models import Batch
from ai_core import pipeline
from ai_core.models import AIJob
from ai_core.services.job import Job
from ai_usage.domain.rates import WHOLE
from ai_usage.models import RateBucket, RateLimit
from ai_usage.services import rate_script, rates
from megahub.kernel import loop
from megahub.kernel.errors import RateLimited
from tests import processes, world
from tests.conftest import Api
from tests.rates import MOMENT, hammer
from tests.stubs import Scripted, completion, vectors
from tests.world import Cast

URL = "/ai/rate-limits/"
CHAT = "/v1/chat/completions"
HELLO = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}
EMBED = {"model": "text-embedding-3-small", "input": "Hello"}
JOB = {"job_type": "chat_completion", "input_data": {"prompt": "Hello", "model": "gpt-4o-mini"}}
Provider = Callable[..., Scripted]
Rung = list[tuple[str, tuple[Any, ...], str]]


@pytest.fixture(autouse=True)
def frozen(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No time passes for the buckets."""
    monkeypatch.setattr(rate_script, "FROZEN_MS", MOMENT)
    yield
    rates._redis_rests_until = 0.0


@pytest.fixture(params=["as it is", "rows"])
def counted(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where there is Redis, both ways of counting."""
    if request.param == "rows":
        if not settings.REDIS_URL:
            pytest.skip("rows are how this lane counts")
        monkeypatch.setattr(settings, "REDIS_URL", "")
    return str(request.param)


def limit(cast: Cast, requests: int | None = None, tokens: int | None = None, **fields: Any) -> RateLimit:
    row: RateLimit = RateLimit.objects.unscoped().create(
        company=cast.company, requests_per_minute=requests, tokens_per_minute=tokens, **fields
    )
    rates.forget()
    return row


def told(response: Any) -> dict[str, str]:
    return {
        name.removeprefix("x-ratelimit-"): value
        for name, value in response.headers.items()
        if name.startswith("x-ratelimit-")
    }


class TestChange:
    def test_it_works(self, api: Api, cast: Cast) -> None:
        alice = api.as_(cast.alice)

        made = alice.post(URL, {"requests_per_minute": 60, "tokens_per_minute": 90000})

        assert made.status_code == 201
        row = made.json()
        assert row == {
            "id": row["id"],
            "scope": "company",
            "scope_value": "",
            "requests_per_minute": 60,
            "tokens_per_minute": 90000,
            "is_active": True,
            "created_at": row["created_at"],
            "changed_at": row["created_at"],
        }
        one = f"{URL}{row['id']}/"
        assert alice.get(one).json() == row
        assert alice.get(URL).json()["results"] == [row]
        changed = alice.request("PATCH", one, json={"tokens_per_minute": None})
        assert (changed.status_code, changed.json()["tokens_per_minute"]) == (200, None)
        put = alice.request("PUT", one, json={"requests_per_minute": 5, "is_active": False})
        assert (put.json()["requests_per_minute"], put.json()["is_active"]) == (5, False)
        assert alice.request("DELETE", one).status_code == 204
        assert alice.get(one).status_code == 404

    def test_only_owners_and_administrators_change_one(self, api: Api, cast: Cast) -> None:
        row = limit(cast, 60)
        bob, one = api.as_(cast.bob), f"{URL}{row.pk}/"

        assert bob.get(one).status_code == 200
        for response in (
            bob.post(URL, {"requests_per_minute": 60}),
            bob.request("PATCH", one, json={"requests_per_minute": 600}),
            bob.request("DELETE", one),
        ):
            assert response.status_code == 403
            assert response.json()["required_scope"] == "limits:manage"
        row.refresh_from_db()
        assert row.requests_per_minute == 60

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({}, "requests_per_minute"),
            ({"requests_per_minute": None}, "requests_per_minute"),
            ({"requests_per_minute": 0}, "requests_per_minute"),
            ({"requests_per_minute": -1}, "requests_per_minute"),
            ({"requests_per_minute": 1_000_000_001}, "requests_per_minute"),
            ({"requests_per_minute": "many"}, "requests_per_minute"),
            ({"tokens_per_minute": 1.5}, "tokens_per_minute"),
            ({"requests_per_minute": 1, "scope": "planet"}, "scope"),
            ({"requests_per_minute": 1, "scope": "model"}, "scope_value"),
            ({"requests_per_minute": 1, "scope": "model", "scope_value": "gpt-0"}, "scope_value"),
            ({"requests_per_minute": 1, "scope_value": "7"}, "scope_value"),
            ({"requests_per_minute": 1, "scope": "api_key", "scope_value": "999999999"}, "scope_value"),
            ({"requests_per_minute": 1, "is_active": "perhaps"}, "is_active"),
        ],
    )
    def test_bad_input(self, api: Api, cast: Cast, body: dict[str, Any], field: str) -> None:
        response = api.as_(cast.alice).post(URL, body)

        assert response.status_code == 400
        assert list(response.json()["field_errors"]) == [field]
        assert not RateLimit.objects.of(cast.company.pk).exists()

    def test_a_strangers_key_is_like_none(self, api: Api, cast: Cast) -> None:
        own, theirs = cast.alice.api_key(), cast.charlie.api_key()
        number = {api.as_(key).get("/auth/keys/").status_code for key in (own, theirs)}
        assert number == {403}
        mine, strangers = (_key_of(person) for person in (cast.alice, cast.charlie))

        def ask(value: Any) -> Any:
            body = {"requests_per_minute": 1, "scope": "api_key", "scope_value": str(value)}
            return api.as_(cast.alice).post(URL, body)

        assert ask(mine).status_code == 201
        foreign, absent = ask(strangers), ask(999999999)
        assert (foreign.status_code, foreign.json()) == (absent.status_code, absent.json())
        assert foreign.status_code == 400

    def test_one_of_each(self, api: Api, cast: Cast) -> None:
        alice = api.as_(cast.alice)
        assert alice.post(URL, {"requests_per_minute": 60}).status_code == 201

        again = alice.post(URL, {"requests_per_minute": 70})

        assert again.status_code == 400
        assert again.json()["field_errors"] == {"scope_value": ["There is a rate limit for this already."]}

    def test_what_is_counted_does_not_change(self, api: Api, cast: Cast) -> None:
        row = limit(cast, 60)

        response = api.as_(cast.alice).request("PATCH", f"{URL}{row.pk}/", json={"scope": "model"})

        assert response.status_code == 400
        assert response.json()["invalid_params"] == ["scope"]

    def test_one_without_a_unit_is_none(self, api: Api, cast: Cast) -> None:
        row = limit(cast, 60)

        response = api.as_(cast.alice).request(
            "PATCH", f"{URL}{row.pk}/", json={"requests_per_minute": None}
        )

        assert response.status_code == 400
        assert list(response.json()["field_errors"]) == ["requests_per_minute"]


def _key_of(person: Any) -> int:
    from megahub.tenancy.models import ApiKey

    return int(ApiKey.objects.of(person.company.pk).latest("pk").pk)


class TestRefusals:
    def test_it_works(self, api: Api, cast: Cast, counted: str) -> None:
        """OpenAI's headers and words; the third of two a minute is refused."""
        limit(cast, 2)
        alice = api.as_(cast.alice)

        first, second, third = (alice.post(CHAT, HELLO) for _ in range(3))

        assert [r.status_code for r in (first, second, third)] == [200, 200, 429]
        assert told(first) == {"limit-requests": "2", "remaining-requests": "1", "reset-requests": "30s"}
        assert told(second) == {"limit-requests": "2", "remaining-requests": "0", "reset-requests": "1m0s"}
        assert told(third) == told(second)
        assert third.headers["retry-after"] == "30"
        assert third.json() == {
            "error": {
                "message": "Rate limit reached: 2 requests a minute, 0 left. Try again in 30 s.",
                "type": "rate_limit_error",
                "param": None,
                "code": "rate_limit_exceeded",
            }
        }
        assert AIJob.objects.of(cast.company.pk).count() == 2

    def test_without_a_limit_nothing_is_told_or_asked(
        self, api: Api, cast: Cast, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def never(*_: Any) -> Any:
            raise AssertionError("somebody counted")

        monkeypatch.setattr(rates, "_asked", never)
        limit(cast, 1, is_active=False)
        limit(cast, 1, scope="model", scope_value="gpt-4o")

        response = api.as_(cast.alice).post(CHAT, HELLO)

        assert response.status_code == 200
        assert told(response) == {}

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            (CHAT, HELLO),
            (CHAT, {**HELLO, "stream": True}),
            ("/v1/embeddings", EMBED),
            ("/ai/openai/chat/", HELLO),
            ("/ai/openai/chat/", {**HELLO, "async": True}),
            ("/ai/openai/jobs/", HELLO),
            ("/ai/jobs/", JOB),
            (
                "/api/batch/create",
                {
                    "endpoint": "/v1/chat/completions",
                    "input_file_id": "file-x",
                    "completion_window": "24h",
                },
            ),
            (
                "/v1/batches",
                {
                    "endpoint": "/v1/chat/completions",
                    "input_file_id": "file-x",
                    "completion_window": "24h",
                },
            ),
        ],
    )
    def test_every_door(self, api: Api, cast: Cast, path: str, body: dict[str, Any], rung: Rung) -> None:
        limit(cast, 1)
        alice = api.as_(cast.alice)

        first, second = alice.post(path, body), alice.post(path, body)

        assert first.status_code < 300, first.text
        assert told(first) == {"limit-requests": "1", "remaining-requests": "0", "reset-requests": "1m0s"}
        assert (second.status_code, second.headers["retry-after"]) == (429, "60")
        assert told(second) == told(first)
        jobs = AIJob.objects.of(cast.company.pk).count() + Batch.objects.of(cast.company.pk).count()
        assert jobs == 1

    def test_megahubs_words(self, api: Api, cast: Cast) -> None:
        limit(cast, 1)
        alice = api.as_(cast.alice)
        alice.post("/ai/jobs/", JOB)

        response = alice.post("/ai/jobs/", JOB, headers={"Accept-Language": "fr"})

        told = response.json()
        assert told["error_code"] == "RATE_LIMITED"
        assert (
            told["detail"] == "Limite atteinte : 1 requêtes par minute, il en reste 0. Réessayez dans 60 s."
        )
        facts = {name: told[name] for name in ("scope", "unit", "limit", "remaining", "requested")}
        assert facts == {
            "scope": "company",
            "unit": "requests",
            "limit": 1,
            "remaining": 0,
            "requested": 1,
        }

    def test_keys_and_models_have_their_own(self, api: Api, cast: Cast, provider: Provider) -> None:
        provider(*[completion()] * 2, vectors())
        key, other = cast.alice.api_key(), cast.alice.api_key()
        number = _key_of(cast.alice) - 1
        limit(cast, 1, scope="api_key", scope_value=str(number))
        limit(cast, 2, scope="model", scope_value="gpt-4o-mini")

        assert api.as_(key).post(CHAT, HELLO).status_code == 200
        assert api.as_(key).post(CHAT, HELLO).status_code == 429
        assert api.as_(other).post(CHAT, HELLO).status_code == 200
        assert api.as_(other).post(CHAT, HELLO).status_code == 429
        assert api.as_(other).post("/v1/embeddings", EMBED).status_code == 200

    def test_a_bad_request_and_a_stranger_count_nothing(self, api: Api, cast: Cast) -> None:
        limit(cast, 1)

        assert api.as_(cast.alice).post(CHAT, {**HELLO, "temperature": 9}).status_code == 400
        assert api.as_(cast.charlie).post(CHAT, HELLO).status_code == 200
        assert api.as_(cast.alice).post(CHAT, HELLO).status_code == 200


class TestTokens:
    def test_they_are_put_right_when_a_job_ends(
        self, api: Api, cast: Cast, provider: Provider, counted: str
    ) -> None:
        provider(completion(prompt=30, output=20))
        row = limit(cast, tokens=1000)

        response = api.as_(cast.alice).post(CHAT, {**HELLO, "max_tokens": 200})

        taken = 1000 - int(told(response)["remaining-tokens"])
        assert taken > 200
        assert settled(cast, row) == 50

    def test_what_is_refused_or_replayed_takes_none(self, api: Api, cast: Cast, provider: Provider) -> None:
        provider(completion(prompt=30, output=20))
        row = limit(cast, tokens=1000)
        alice = api.as_(cast.alice, idempotency_key="once")
        alice.post(CHAT, HELLO)
        assert alice.post(CHAT, HELLO).headers["idempotency-replayed"] == "true"
        world.make_budget(cast.company, "0")

        assert api.as_(cast.alice).post(CHAT, HELLO).status_code == 403

        assert settled(cast, row) == 50

    def test_a_job_for_later_is_put_right_by_its_worker(
        self, cast: Cast, provider: Provider, rung: Rung
    ) -> None:
        provider(completion(prompt=30, output=20))
        row = limit(cast, tokens=1000)
        RateLimit.objects.unscoped().update(changed_at="2026-01-01T00:00:00Z")
        rates.forget()
        job = world.submit(cast.alice, later=True, params={"max_tokens": 500})

        loop.run(pipeline.work(job.pk))

        assert settled(cast, row) == 50

    def test_more_than_the_limit_is_told_so(self, api: Api, cast: Cast) -> None:
        limit(cast, tokens=100)

        response = api.as_(cast.alice).post(CHAT, {**HELLO, "max_tokens": 5000})

        assert response.status_code == 429
        assert "retry-after" not in response.headers
        assert response.json()["error"]["message"].startswith("The request is too large: some 50")

    def test_a_used_up_minute_refuses(self, api: Api, cast: Cast, provider: Provider) -> None:
        provider(completion(prompt=900, output=200))
        limit(cast, tokens=1000)
        api.as_(cast.alice).post(CHAT, HELLO)

        response = api.as_(cast.alice).post(CHAT, HELLO)

        assert response.status_code == 429
        assert told(response)["remaining-tokens"] == "0"


def settled(cast: Cast, row: RateLimit) -> int:
    """What the limit's bucket of tokens owes, once corrections have arrived."""
    ceilings = loop.run(rates.limits(cast.company.pk))
    wants = rates.rates.wants_of(ceilings, None, "gpt-4o-mini", 0)
    answer = loop.run(rates._asked(rates.Ask(cast.company.pk, wants)))
    (owed,) = (each.owed for each in answer.standings if each.want.bucket == (row.pk, "tokens"))
    return owed // WHOLE


class TestExactness:
    def test_threads(self, cast: Cast, counted: str) -> None:
        limit(cast, 50)
        caller = cast.alice.caller

        def ask(_: int) -> bool:
            try:
                return loop.run(rates.take(caller, "gpt-4o-mini", 1)) is not None
            except RateLimited:
                return False

        with ThreadPoolExecutor(20) as pool:
            assert sum(pool.map(ask, range(200))) == 50

    def test_processes(self, cast: Cast, counted: str, tmp_path: Path) -> None:
        """Four processes and this one, 60 requests each at once, 100 a minute: exactly 100."""
        limit(cast, 100, tokens=5000)
        env = processes.clean_env(
            DJANGO_SETTINGS_MODULE="megahub.settings.test",
            DATABASE_URL=processes.database_url(),
            REDIS_URL=settings.REDIS_URL,
            HUB_VAR=str(tmp_path),
        )
        command = [sys.executable, "-m", "tests.rates", str(cast.company.pk), "60"]
        others = [
            subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(4)
        ]
        for each in others:
            assert each.stdout is not None
            assert each.stdout.readline() == "ready\n"
        for each in others:
            assert each.stdin is not None
            each.stdin.write("go\n")
            each.stdin.flush()
        own = hammer(cast.company.pk, 60)

        counts = [int(each.communicate(timeout=60)[0]) for each in others]

        assert own + sum(counts) == 100


class TestRedisGone:
    def test_rows_count_from_there_on(self, api: Api, cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
        """It neither lets everybody in nor shuts everybody out."""
        row = limit(cast, 2)
        monkeypatch.setattr(settings, "REDIS_URL", "redis://127.0.0.1:1/0")
        monkeypatch.setattr(rate_script, "_wires", {})
        alice = api.as_(cast.alice)

        assert [alice.post(CHAT, HELLO).status_code for _ in range(3)] == [200, 200, 429]
        assert RateBucket.objects.get(rate_limit=row).owed == 2 * WHOLE


@pytest.mark.asyncio
async def test_an_answer_that_cannot_be_read_is_no_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for good when a trip ends in an error that nobody thought of."""

    async def unread(self: rate_script.Wire, asks: Any) -> Any:
        raise ValueError("no number")

    monkeypatch.setattr(settings, "REDIS_URL", "redis://127.0.0.1:1")
    monkeypatch.setattr(rate_script.Wire, "_ask_all", unread)
    try:
        with pytest.raises(ValueError, match="no number"):
            await asyncio.wait_for(rate_script.asked(rate_script.Ask(1, ())), 5)
    finally:
        await rate_script.close()


def test_a_job_remembers_what_it_took(cast: Cast, rung: Rung) -> None:
    limit(cast, 5)

    job = world.submit(cast.alice, later=True)

    assert isinstance(job, Job)
    assert job.taken is not None
    assert rates.headers(job.taken)["X-RateLimit-Remaining-Requests"] == "4"
