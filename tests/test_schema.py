"""``/schema/`` and ``/docs/``: every endpoint with every method, valid, and from this host alone."""

from __future__ import annotations

import re
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from drf_spectacular.validation import validate_schema

from tests import routes
from tests.conftest import Api

#: What docs/architecture.md lists, hot lane (``ai_openai``, events) and ordinary lane alike.
ENDPOINTS = {
    "/ai/alerts/": "get post",
    "/ai/alerts/active/": "get",
    "/ai/alerts/check_alerts/": "post",
    "/ai/alerts/rules/": "get",
    "/ai/alerts/rules/{alert_type}/": "put patch delete",
    "/ai/alerts/{id}/": "get",
    "/ai/alerts/{id}/resolve/": "post put",
    "/ai/batch-analysis/": "post",
    "/ai/batch-analysis/{batch_id}/results/": "get",
    "/ai/batch-analysis/{batch_id}/status/": "get",
    "/ai/budgets/": "get post",
    "/ai/budgets/{id}/": "get put patch delete",
    "/ai/budgets/{id}/windows/": "get",
    "/ai/credentials/": "get post",
    "/ai/credentials/history/": "get",
    "/ai/credentials/quota_status/": "get",
    "/ai/credentials/test_connection/": "post",
    "/ai/credentials/{id}/": "get put patch delete",
    "/ai/job-types/": "get",
    "/ai/job-types/{id}/": "get",
    "/ai/jobs/": "get post",
    "/ai/jobs/by_status/": "get",
    "/ai/jobs/dashboard/": "get",
    "/ai/jobs/validate/": "post",
    "/ai/jobs/{ref}/": "get put patch delete",
    "/ai/jobs/{ref}/cancel/": "post",
    "/ai/jobs/{ref}/events/": "get",
    "/ai/jobs/{ref}/feedback/": "get post",
    "/ai/models/": "get",
    "/ai/models/{model_id}/schema/": "get",
    "/ai/openai/chat/": "get post",
    "/ai/openai/completion/job_result/": "get",
    "/ai/openai/jobs/": "get post",
    "/ai/openai/jobs/{ref}/": "get put patch delete",
    "/ai/openai/recommend_model/": "post",
    "/ai/privacy/erasures/": "get post",
    "/ai/privacy/export/": "get",
    "/ai/privacy/findings/": "get",
    "/ai/privacy/policy/": "get put patch",
    "/ai/providers/": "get",
    "/ai/providers/health/": "get",
    "/ai/providers/{ref}/": "get",
    "/ai/quotas/": "get put",
    "/ai/rate-limits/": "get post",
    "/ai/rate-limits/{id}/": "get put patch delete",
    "/ai/usage/": "get post",
    "/ai/usage/cost_breakdown/": "get",
    "/ai/usage/dashboard/": "get",
    "/ai/usage/efficiency/": "get",
    "/ai/usage/export/": "get",
    "/ai/usage/export-links/{token}/": "get",
    "/ai/usage/export-schedules/": "get post",
    "/ai/usage/export-schedules/{id}/": "get put patch delete",
    "/ai/usage/export-schedules/{id}/history/": "get",
    "/ai/usage/exports/": "get",
    "/ai/usage/exports/{id}/": "get delete",
    "/ai/usage/exports/{id}/download/": "get",
    "/ai/usage/exports/{id}/trailer/": "get",
    "/ai/usage/forecast/": "get",
    "/ai/usage/model_comparison/": "get",
    "/ai/usage/performance/": "get",
    "/ai/usage/stats/": "get",
    "/ai/usage/trends/": "get",
    "/ai/usage/{id}/": "get",
    "/ai/usage/{id}/explain/": "get",
    "/ai/webhooks/": "get post",
    "/ai/webhooks/{id}/": "get put patch delete",
    "/ai/webhooks/{id}/rotate_secret/": "post",
    "/ai/webhooks/{id}/test/": "post",
    "/ai/webhooks/{webhook_pk}/deliveries/": "get",
    "/ai/webhooks/{webhook_pk}/deliveries/{id}/": "get",
    "/ai/webhooks/{webhook_pk}/deliveries/{id}/redeliver/": "post",
    "/api/batch/create": "post",
    "/api/batch/list": "get",
    "/api/batch/policy": "get put",
    "/api/batch/schedules": "get post",
    "/api/batch/schedules/{schedule_id}": "get patch delete",
    "/api/batch/schedules/{schedule_id}/history": "get",
    "/api/batch/stats": "get",
    "/api/batch/template": "get",
    "/api/batch/upload": "post",
    "/api/batch/validate": "post",
    "/api/batch/{batch_id}": "get",
    "/api/batch/{batch_id}/cancel": "post",
    "/api/batch/{batch_id}/events": "get",
    "/api/batch/{batch_id}/results": "get",
    "/api/batch/{batch_id}/retry_failed": "post",
    "/api/ai/security/audit": "get",
    "/auth/brands/": "get post",
    "/auth/brands/{id}/": "patch",
    "/auth/invitations/": "get post",
    "/auth/invitations/accept/": "post",
    "/auth/invitations/{id}/": "delete",
    "/auth/keys/": "get post",
    "/auth/keys/{key_id}/": "delete",
    "/auth/me/": "get patch",
    "/auth/members/": "get",
    "/auth/members/{id}/": "get patch delete",
    "/auth/token/": "post",
    "/auth/token/refresh/": "post",
    "/auth/token/revoke/": "post",
    "/auth/token/verify/": "post",
    "/auth/totp/": "get post",
    "/auth/totp/confirm/": "post",
    "/auth/totp/recovery-codes/": "post",
    "/auth/totp/remove/": "post",
    "/v1/batches": "get post",
    "/v1/batches/{batch_id}": "get",
    "/v1/batches/{batch_id}/cancel": "post",
    "/v1/chat/completions": "post",
    "/v1/embeddings": "post",
    "/v1/files": "get post",
    "/v1/files/{file_id}": "get delete",
    "/v1/files/{file_id}/content": "get",
    "/v1/models": "get",
    "/v1/models/{model_id}": "get",
}
METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture(scope="module")
def schema(live_url: str) -> dict[str, Any]:
    response = Api(live_url).get("/schema/?format=json")
    assert response.status_code == 200
    found: dict[str, Any] = response.json()
    return found


def test_it_works(schema: dict[str, Any]) -> None:
    found = {path: sorted(METHODS & set(operations)) for path, operations in schema["paths"].items()}

    assert found == {path: sorted(methods.split()) for path, methods in ENDPOINTS.items()}


def test_it_is_valid(schema: dict[str, Any]) -> None:
    assert schema["openapi"].startswith("3.0")
    validate_schema(schema)


def test_nothing_is_left_to_guess() -> None:
    """drf-spectacular warns of what it cannot see."""
    call_command("spectacular", validate=True, fail_on_warn=True, stdout=StringIO())


def test_every_method_of_every_path_is_in_it() -> None:
    """Path parameters may have other names there."""
    ours = {nameless(path): routes.methods_of(pattern) for path, pattern in routes.of_the_api().items()}

    assert ours == {nameless(path): set(methods.upper().split()) for path, methods in ENDPOINTS.items()}


def nameless(path: str) -> str:
    return re.sub(r"\{\w+\}", "{}", path)


def test_every_operation_has_a_name_of_its_own_and_tells_its_parameters(schema: dict[str, Any]) -> None:
    names = []
    for path, operations in schema["paths"].items():
        for method in METHODS & set(operations):
            operation = operations[method]
            names.append(operation["operationId"])
            told = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "path"}
            assert told == set(re.findall(r"\{(\w+)\}", path)), (method, path)
            assert operation["responses"], (method, path)
    assert sorted(set(names)) == sorted(names)


#: Whoever has the token of a body or a link may.
OPEN = ("/auth/token/", "/auth/invitations/accept/", "/ai/usage/export-links/")


def test_it_says_how_to_authenticate(schema: dict[str, Any]) -> None:
    schemes = schema["components"]["securitySchemes"]
    for path, operations in schema["paths"].items():
        for method in METHODS & set(operations):
            wanted = operations[method].get("security", [{}])
            assert all(name in schemes for choice in wanted for name in choice)
            assert ({} in wanted) == path.startswith(OPEN), (
                method,
                path,
                wanted,
            )


def test_it_is_yaml_for_those_who_do_not_say(api: Api) -> None:
    response = api.get("/schema/")

    assert response.headers["content-type"].startswith("application/vnd.oai.openapi")
    assert response.text.startswith("openapi: 3.0")


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume")  # so does WhiteNoise read files
class TestDocs:
    def test_it_works(self, api: Api) -> None:
        response = api.get("/docs/")

        assert response.status_code == 200
        assert response.headers["content-type"] == "text/html; charset=utf-8"
        assert "SwaggerUIBundle" in response.text
        assert "/schema/" in response.text

    def test_everything_comes_from_here(self, api: Api) -> None:
        page = api.get("/docs/").text

        assert re.findall(r"(?:https?:)?//[\w.-]+\.\w+", page) == []
        parts = re.findall(r"""(?:src|href)=["']([^"']+)["']""", page)
        assert any(part.endswith("swagger-ui-bundle.js") for part in parts)
        assert any(part.endswith("swagger-ui.css") for part in parts)
        for part in parts:
            assert part.startswith("/"), part
            assert api.get(part).status_code == 200, part

    def test_nor_do_the_styles_fetch_anything(self, api: Api) -> None:
        page = api.get("/docs/").text
        for part in re.findall(r"""href=["']([^"']+\.css)["']""", page):
            assert re.findall(r"@import|url\(\s*[\"']?(?:https?:)?//", api.get(part).text) == []
