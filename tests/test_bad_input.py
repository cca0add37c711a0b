"""Bad input at every door that runs a model: the documented error, nothing written, nothing held."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from ai_core.models import AIJob
from ai_providers import selectors
from ai_usage.models import Budget, BudgetWindow
from tests import world
from tests.conftest import Api
from tests.stubs import Scripted, completion, vectors
from tests.world import Cast

Provider = Callable[..., Scripted]
V1, CHAT, JOBS, EMBED = "/v1/chat/completions", "/ai/openai/chat/", "/ai/jobs/", "/v1/embeddings"
MESSAGES = [{"role": "user", "content": "Hello"}]
GOOD: dict[str, Any] = {
    V1: {"model": "gpt-4o-mini", "messages": MESSAGES},
    CHAT: {"model": "gpt-4o-mini", "messages": MESSAGES},
    JOBS: {
        "job_type": "chat_completion",
        "is_async": False,
        "input_data": {"model": "gpt-4o-mini", "messages": MESSAGES},
    },
    EMBED: {"model": "text-embedding-3-small", "input": "Hello"},
}
DOORS = list(GOOD)


@dataclass
class Ground:
    """Alice before a door, and what must not change behind it."""

    api: Api
    cast: Cast
    budget: Budget
    provider: Scripted

    def send(self, door: str, raw: bytes | Any, **headers: str) -> tuple[int, str, dict[str, Any]]:
        """Status, error code, body of a POST."""
        content = raw if isinstance(raw, bytes) else json.dumps(raw).encode()
        sent = {"Content-Type": "application/json", **headers}
        client = self.api.as_(None if "Authorization" in sent else self.cast.alice)
        response = client.request("POST", door, content=content, headers=sent)
        body = response.json()
        code = body["error"]["code"] if door.startswith("/v1") else body["error_code"]
        return response.status_code, code, body

    def unchanged(self) -> bool:
        """No job, nothing held or spent, nothing sent."""
        windows = BudgetWindow.objects.filter(budget=self.budget)
        held = sum(window.reserved + window.spent for window in windows)
        jobs = AIJob.objects.of(self.cast.company.pk).count()
        return (jobs, held, len(self.provider.calls)) == (0, 0, 0)


@pytest.fixture
def ground(api: Api, cast: Cast, provider: Provider, request: pytest.FixtureRequest) -> Ground:
    door = getattr(request.node, "callspec", None) and request.node.callspec.params.get("door")
    said = vectors() if door == EMBED else completion()
    return Ground(api, cast, world.make_budget(cast.company, "5"), provider(said))


@pytest.mark.parametrize("door", DOORS)
class TestEveryDoor:
    def test_it_works(self, ground: Ground, door: str) -> None:
        response = ground.api.as_(ground.cast.alice).post(door, GOOD[door])

        assert response.status_code == (201 if door == JOBS else 200)
        assert not ground.unchanged()

    @pytest.mark.parametrize(
        "raw",
        [
            b"{",
            b"",
            b"nonsense",
            b'{"model": NaN}',
            b'{"model": Infinity}',
            b'{"a": 1} trailing',
            b"\xff\xfe{}",
            b'{"model": "\\ud800"}',
            b'{"model": "a\\u0000b"}',
            b'{"a":' * 40 + b"1" + b"}" * 40,
            b'{"a":' + b"[" * 2000 + b"]" * 2000 + b"}",
            b'{"model": "\xed\xa0\x80"}',
        ],
    )
    def test_what_is_not_json(self, ground: Ground, door: str, raw: bytes) -> None:
        status, _, body = ground.send(door, raw)

        assert status == 400
        assert any(word in str(body) for word in ("line", "required", "nested", "U+0000"))
        assert ground.unchanged()

    @pytest.mark.parametrize("raw", [b"[]", b'"text"', b"5", b"null", b"true"])
    def test_what_is_no_object(self, ground: Ground, door: str, raw: bytes) -> None:
        status, code, _ = ground.send(door, raw)

        assert (status, code.lower()) == (
            400,
            "invalid_value" if door.startswith("/v1") else "validation_error",
        )
        assert ground.unchanged()

    def test_a_body_over_the_limit(self, ground: Ground, door: str) -> None:
        raw = b'{"model": "' + b"x" * (1024 * 1024) + b'"}'

        status, code, body = ground.send(door, raw)

        assert (status, code.lower()) == (413, "body_too_large")
        assert "1048576" in str(body)
        assert ground.unchanged()

    def test_an_unknown_field(self, ground: Ground, door: str) -> None:
        status, code, body = ground.send(door, {**GOOD[door], "nonsense": 1})

        assert (status, code.lower()) == (400, "unknown_parameter")
        assert "nonsense" in str(body)
        assert ground.unchanged()

    def test_no_token(self, ground: Ground, door: str) -> None:
        response = ground.api.post(door, GOOD[door])

        assert response.status_code == 401
        assert ground.unchanged()

    def test_a_foreign_brand(self, ground: Ground, door: str) -> None:
        foreign = str(ground.cast.charlie.brand.pk)

        status, code, _ = ground.send(door, GOOD[door], **{"X-Brand-ID": foreign})

        assert (status, code.lower()) == (404, "brand_not_found")
        assert ground.unchanged()

    @pytest.mark.parametrize("kind", ["text/plain", "multipart/form-data; boundary=x"])
    def test_another_content_type(self, ground: Ground, door: str, kind: str) -> None:
        """The hot lane reads JSON whatever it is called, as OpenAI does; DRF insists."""
        response = ground.api.as_(ground.cast.alice).request(
            "POST", door, content=b"a=b", headers={"Content-Type": kind}
        )

        assert response.status_code == (415 if door == JOBS else 400)
        assert ground.unchanged()

    @pytest.mark.parametrize("charset", ["utf-16", "bz2_codec", "nonsense"])
    def test_a_charset_does_nothing(self, ground: Ground, door: str, charset: str) -> None:
        status, _, _ = ground.send(door, b"{", **{"Content-Type": f"application/json; charset={charset}"})

        assert status == 400
        assert ground.unchanged()


def nested(door: str, changes: dict[str, Any]) -> dict[str, Any]:
    """The good body of a door with changes where the model's parameters are."""
    if door == JOBS:
        return {**GOOD[door], "input_data": {**GOOD[door]["input_data"], **changes}}
    return {**GOOD[door], **changes}


@pytest.mark.parametrize("door", [V1, CHAT, JOBS])
class TestParameters:
    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"temperature": "hot"}, "temperature"),
            ({"temperature": 2.1}, "temperature"),
            ({"temperature": True}, "temperature"),
            ({"max_tokens": -1}, "max_tokens"),
            ({"max_tokens": 10**30}, "max_tokens"),
            ({"max_tokens": 1.5}, "max_tokens"),
            ({"n": 10**6}, "n"),
            ({"n": 0}, "n"),
            ({"messages": {}}, "messages"),
            ({"messages": [5]}, "messages[0]"),
            ({"messages": [{"role": "root", "content": "x"}]}, "messages[0].role"),
            ({"messages": [{"role": "user"}]}, "messages[0].content"),
            ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
            ({"messages": [{"role": "user", "content": "x", "evil": 1}]}, "messages[0].evil"),
            ({"tools": "all"}, "tools"),
            ({"response_format": "json"}, "response_format"),
            ({"service_tier": "priority"}, "service_tier"),
        ],
    )
    def test_a_wrong_value_is_named(
        self, ground: Ground, door: str, change: dict[str, Any], field: str
    ) -> None:
        status, _, body = ground.send(door, nested(door, change))

        assert status == 400
        named = body["error"]["param"] if door == V1 else next(iter(body["field_errors"]))
        assert named == field
        assert ground.unchanged()

    def test_an_unknown_model(self, ground: Ground, door: str) -> None:
        status, code, _ = ground.send(door, nested(door, {"model": "gpt-17"}))

        assert (status, code.lower()) == (404, "model_not_found")
        assert ground.unchanged()

    @pytest.mark.parametrize("name", ["base_url", "api_base", "api_key", "headers", "proxy", "extra_body"])
    def test_nobody_says_where_the_key_goes(self, ground: Ground, door: str, name: str) -> None:
        status, code, _ = ground.send(door, nested(door, {name: "http://127.0.0.1:1/"}))

        assert (status, code.lower()) == (400, "unknown_parameter")
        assert ground.unchanged()

    def test_a_model_of_another_kind(self, ground: Ground, door: str) -> None:
        status, code, _ = ground.send(door, nested(door, {"model": "text-embedding-3-small"}))

        assert (status, code.lower()) == (400, "model_not_supported_here")
        assert ground.unchanged()


LONG = "9" * 5000
FIELDS = "&".join(f"f{number}=1" for number in range(1200))


class TestQueries:
    """Whatever a URL asks for: a client's mistake is never a 500."""

    @pytest.mark.parametrize(
        "url",
        [
            f"/ai/jobs/?page={LONG}",
            f"/ai/jobs/?page_size={LONG}",
            "/ai/jobs/?page=1.5",
            "/ai/jobs/?page_size=0",
            f"/ai/jobs/?created_by={LONG}",
            "/ai/jobs/?created_by=1e30",
            "/ai/jobs/?created_by=-9223372036854775809",
            "/ai/jobs/?progress_percentage__gte=1e300",
            "/ai/jobs/?search=%00",
            "/ai/jobs/?model=%00",
            "/ai/jobs/?created_at__gte=0001-01-01T00:00:00%2B23:59",
            f"/ai/jobs/?{FIELDS}",
            f"{CHAT}?{FIELDS}",
            "/ai/openai/completion/job_result/?job_id=%00",
        ],
    )
    def test_each(self, api: Api, cast: Cast, url: str) -> None:
        client = api.as_(cast.alice)
        response = client.post(url, GOOD[CHAT]) if url.startswith(CHAT) else client.get(url)

        assert 400 <= response.status_code < 500
        assert response.json()["error_code"] != "INTERNAL_ERROR"


@pytest.mark.parametrize("door", [CHAT, JOBS])
class TestBodiesInPieces:
    """Without a declared length."""

    @staticmethod
    def sent(api: Api, cast: Cast, door: str, pieces: list[bytes]) -> tuple[int, str | None]:
        headers = {"Content-Type": "application/json"}
        response = api.as_(cast.alice).request("POST", door, content=iter(pieces), headers=headers)
        return response.status_code, response.json().get("error_code")

    def test_it_works(self, api: Api, cast: Cast, door: str) -> None:
        raw = json.dumps(GOOD[door]).encode()

        assert self.sent(api, cast, door, [raw[:20], raw[20:]]) == (201 if door == JOBS else 200, None)

    def test_one_over_the_limit(self, api: Api, cast: Cast, door: str) -> None:
        """It is told so although more of it arrives."""
        assert self.sent(api, cast, door, [b" " * 65536] * 64) == (413, "BODY_TOO_LARGE")


def test_a_large_body_with_its_length(api: Api, cast: Cast) -> None:
    headers = {"Content-Type": "application/json"}

    response = api.as_(cast.alice).request("POST", JOBS, content=b" " * 4_194_304, headers=headers)

    assert (response.status_code, response.json()["error_code"]) == (413, "BODY_TOO_LARGE")


class TestProvidersFaults:
    """Over the wire to the sandbox: the job is kept with its error, nothing stays held."""

    @pytest.mark.parametrize(
        ("fault", "status", "code", "job"),
        [
            ("status=401", 400, "INVALID_API_KEY", "failed"),
            ("status=429, retry_after=7", 429, "RATE_LIMITED", "failed"),
            ("status=500", 502, "PROVIDER_ERROR", "failed"),
            ("status=503", 503, "PROVIDER_UNAVAILABLE", "failed"),
            ("malformed", 502, "PROVIDER_MALFORMED", "failed"),
            ("empty", 502, "PROVIDER_MALFORMED", "failed"),
            ("cut=1", 502, "PROVIDER_DISCONNECTED", "failed"),
            ("context", 400, "CONTEXT_LENGTH_EXCEEDED", "failed"),
        ],
    )
    def test_each(self, api: Api, cast: Cast, fault: str, status: int, code: str, job: str) -> None:
        budget = world.make_budget(cast.company, "5")
        body = {**GOOD[CHAT], "messages": [{"role": "user", "content": f"x [sandbox: {fault}]"}]}

        response = api.as_(cast.alice).post(CHAT, body)

        assert (response.status_code, response.json()["error_code"]) == (status, code)
        if status == 429:
            assert response.headers["retry-after"] == "7"
        row = AIJob.objects.of(cast.company.pk).get()
        assert (row.status, row.error["code"]) == (job, code)
        window = world.window(budget)
        assert window is not None
        assert (window.reserved, window.spent) == (0, 0)

    def test_a_provider_that_is_down(self, api: Api, cast: Cast, settings: Any) -> None:
        settings.HUB_SANDBOX_URL = "http://127.0.0.1:1"
        selectors.forget()
        try:
            response = api.as_(cast.alice).post(V1, GOOD[V1])
        finally:
            selectors.forget()

        assert response.status_code == 503
        assert response.json()["error"] == {
            "message": "openai cannot be reached.",
            "type": "server_error",
            "param": None,
            "code": "provider_unavailable",
        }
        row = AIJob.objects.of(cast.company.pk).get()
        assert row.status == "failed"

    def test_a_provider_that_takes_too_long(self, api: Api, cast: Cast, settings: Any) -> None:
        settings.HUB_PROVIDER_FIRST_BYTE_SECONDS = 0.1
        selectors.forget()
        body = {**GOOD[V1], "messages": [{"role": "user", "content": "x [sandbox: first_byte=3s]"}]}
        try:
            response = api.as_(cast.alice).post(V1, body)
        finally:
            selectors.forget()

        assert response.status_code == 504
        assert response.json()["error"]["code"] == "provider_timeout"
        assert AIJob.objects.of(cast.company.pk).get().status == "timeout"
