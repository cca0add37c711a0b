"""Vulnerabilities that were published of other gateways, tried here.

Those with a file of their own: injection 01, credentials in errors 12, scopes 07, mass assignment 06,
base_url 09, evaluation 24. Of what is left: CVE-2026-35030 (a cache by a token's first characters),
GHSA-69x8-hrgq-fjj8 (a stolen hash signs in), CVE-2026-35029 and -30623 (configuration by HTTP),
CVE-2024-2952 (a template with the request), -4888 (a file's name that climbs), -8984 (an endless
boundary), -10188 (a literal to be parsed), CVE-2025-11203 (keys in a health check), CVE-2025-66405
(hosts in headers).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ai_batch.models import StoredFile
from megahub.kernel import cache
from megahub.tenancy import services, tokens
from megahub.tenancy.models import ApiKey, Membership
from tests import world
from tests.conftest import Api
from tests.stubs import Scripted, completion
from tests.world import Cast

CANARY = "sk-canary-of-the-gateways-0123456789"
SAID = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}


class TestTokens:
    def test_a_caller_is_remembered_by_the_whole_token(self, api: Api, cast: Cast) -> None:
        """Every token of the same algorithm begins alike."""
        cache.forget_everything()
        alice, charlie = cast.alice.token, cast.charlie.token
        assert alice[:20] == charlie[:20]

        told = [api.as_(token).get("/auth/me/").json() for token in (alice, charlie, alice)]

        assert told[0] == told[2]
        assert told[0] != told[1]

    def test_an_altered_end_is_another_token(self, api: Api, cast: Cast) -> None:
        key = cast.alice.api_key("jobs:read")
        assert api.as_(key).get("/auth/me/").status_code == 200

        other = key[:-1] + ("a" if key[-1] != "a" else "b")

        assert api.as_(other).get("/auth/me/").status_code == 401

    def test_what_is_stored_signs_nobody_in(self, api: Api, cast: Cast) -> None:
        row, key = services.make_api_key(cast.alice.caller, "stolen", ["jobs:read"], None, None)
        stored = ApiKey.objects.of(cast.company.pk).get(pk=row.pk).digest

        for token in (stored, f"mh_{row.public_id}_{stored[:40]}", f"mh_{row.public_id}_" + "a" * 40):
            assert api.as_(token).get("/auth/me/").status_code == 401
        assert tokens.digest(key) == stored

    def test_a_key_stays_in_its_company(self, api: Api, cast: Cast) -> None:
        """Its maker is a member of another one, too; the key was made for this one."""
        key = cast.alice.api_key("jobs:read", "jobs:write")
        Membership.objects.unscoped().create(
            user=cast.alice.user, company=cast.charlie.company, role="owner"
        )
        brand = str(cast.charlie.brand.pk)

        assert api.as_(cast.alice, x_brand_id=brand).get("/ai/jobs/").status_code == 200
        assert api.as_(key, x_brand_id=brand).get("/ai/jobs/").status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/config/update", "/key/generate", "/key/info", "/user/new", "/model/new", "/get/config/callbacks",
        "/mcp/test/connection", "/guardrails/test_custom_code", "/global/spend/logs", "/debug/",
        "/v1/admin/keys", "/spend/calculate", "/health/services", "/.env", "/settings", "/sso/key/generate",
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_configuration_by_http(api: Api, cast: Cast, method: str, path: str) -> None:
    body = {"litellm_settings": {"callbacks": ["os"]}, "command": "id"} if method == "POST" else None

    assert api.as_(cast.alice).request(method, path, json=body).status_code == 404


@pytest.mark.parametrize(
    "field",
    [
        {"chat_template": "{{ cycler.__init__.__globals__.os.popen('id').read() }}"},
        {"tokenizer": "evil/model"},
        {"prompt_template": "{{7*7}}"},
        {"callbacks": ["os.system"]},
        {"custom_llm_provider": "evil"},
        {"mock_response": "paid nothing"},
        {"fallbacks": [{"model": "gpt-4o", "api_base": "http://evil.example"}]},
        {"user_config": {"model_list": []}},
        {"no-log": True},
        {"metadata": {"user_api_key": "other", "api_base": 7}},
    ],
    ids=lambda field: next(iter(field)),
)
def test_a_field_of_another_gateway_is_refused_by_name(
    api: Api, cast: Cast, provider: Callable[..., Scripted], field: dict[str, Any]
) -> None:
    scripted = provider(completion())

    answer = api.as_(cast.alice).post("/v1/chat/completions", {**SAID, **field})

    assert answer.status_code == 400
    assert next(iter(field)) in answer.text
    assert scripted.calls == []


@pytest.mark.parametrize(
    "headers",
    [
        {"x-portkey-custom-host": "http://127.0.0.1:1"},
        {"x-portkey-config": '{"custom_host": "http://127.0.0.1:1"}'},
        {"x-litellm-api-base": "http://127.0.0.1:1"},
        {"openai-base-url": "http://127.0.0.1:1", "x-api-base": "http://127.0.0.1:1"},
        {"x-litellm-api-key": "mh_other", "api-key": "mh_other", "x-api-key": "mh_other"},
    ],
    ids=lambda headers: next(iter(headers)),
)
def test_a_header_of_another_gateway_says_nothing(
    api: Api, cast: Cast, provider: Callable[..., Scripted], headers: dict[str, str]
) -> None:
    scripted = provider(completion(), completion())
    alice = api.as_(cast.alice)

    plain = alice.request("POST", "/v1/chat/completions", json=SAID)
    told = alice.request("POST", "/v1/chat/completions", json=SAID, headers=headers)

    assert (plain.status_code, told.status_code) == (200, 200)
    first, second = scripted.calls
    assert first[:2] == second[:2]
    assert api.request("GET", "/auth/me/", headers=headers).status_code == 401


@pytest.mark.parametrize(
    "name", ["../../../../tmp/climbed.jsonl", "/etc/passwd", "..\\..\\climbed", "a\0b.jsonl", "x" * 5_000]
)
def test_a_files_name_is_no_path(api: Api, cast: Cast, name: str) -> None:
    before = world_files()
    answer = api.as_(cast.alice).post(
        "/v1/files", data={"purpose": "batch"}, files={"file": (name, b'{"a": 1}\n')}
    )

    if answer.status_code in (200, 201):
        row = StoredFile.objects.of(cast.company.pk).get()
        assert ".." not in row.name
        assert "climbed" not in row.name
        assert "passwd" not in row.name
    else:
        assert answer.status_code == 400
    assert world_files() - before <= {"files"}


def world_files() -> set[str]:
    """What lies where a name that climbs would lead."""
    return {path.name for path in Path("/tmp").glob("climbed*")}


@pytest.mark.parametrize("tail", ["-" * 200_000, "\r\n" * 50_000, "x" * 300_000])
def test_an_endless_boundary_is_a_400(api: Api, cast: Cast, tail: str) -> None:
    body = b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--b--' + tail.encode()

    answer = api.as_(cast.alice).request(
        "POST", "/v1/files", content=body, headers={"Content-Type": "multipart/form-data; boundary=b"}
    )

    assert answer.status_code == 400


def test_health_tells_no_key(api: Api, cast: Cast) -> None:
    assert api.as_(cast.alice).post("/ai/credentials/", {"openai_api_key": CANARY}).status_code in (
        200,
        201,
    )

    for path in (
        "/healthz",
        "/readyz",
        "/ai/providers/",
        "/ai/providers/health/",
        "/ai/credentials/",
        "/v1/models",
    ):
        for who in (api, api.as_(cast.alice), api.as_(cast.bob)):
            assert CANARY not in who.get(path).text


def test_a_role_in_the_body_is_nobodys(api: Api, cast: Cast) -> None:
    made = world.make_person(f"{cast.bob.user.username}-made", cast.company, cast.brand, "member")

    for path in ("/auth/keys/", "/auth/token/refresh/"):
        answer = api.as_(made).post(
            path, {"name": "x", "scopes": ["jobs:read"], "user_role": "proxy_admin"}
        )
        assert answer.status_code == 400
