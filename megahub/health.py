"""``/healthz`` (this process lives), ``/readyz`` (it can work), ``/metrics`` (for those who may see)."""

from __future__ import annotations

import hmac
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from ai_core.services import status
from megahub.kernel import journal
from megahub.kernel.fastlane import fast
from megahub.kernel.requests import json_response


@fast("GET", "HEAD")
async def alive(request: HttpRequest) -> HttpResponse:
    """This process answers; ``run_id`` lets a launcher recognise its own."""
    return json_response({"status": "ok", "run_id": settings.HUB_RUN_ID})


def ready(request: HttpRequest) -> HttpResponse:
    """200 when the database is migrated and the broker and a worker answer, else 503 with what not."""
    database, workers = _database()
    checks = {"database": database, "broker": status.broker(), "workers": workers}
    good = all(check == "ok" for check in checks.values())
    return json_response({"status": "ok" if good else "not ready", **checks}, 200 if good else 503)


def _database() -> tuple[str, str]:
    """The database, and what it says of the workers."""
    try:
        executor = MigrationExecutor(connection)
        waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if not waiting:
            return "ok", status.workers()
    except Exception as error:  # noqa: BLE001 - whatever the driver raises: it is not ready, and says why
        return type(error).__name__, "unknown"
    return f"{len(waiting)} migrations are not applied", "unknown"


def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus text, for the bearer of HUB_METRICS_TOKEN or a signed-in superuser."""
    if not _may_see(request):
        return HttpResponse("Not found.", status=404, content_type="text/plain; charset=utf-8")
    status.observe(journal.statistics())
    return HttpResponse(generate_latest(), content_type=CONTENT_TYPE_LATEST)


def _may_see(request: HttpRequest) -> bool:
    user: Any = getattr(request, "user", None)
    if user is not None and user.is_active and user.is_superuser:
        return True
    offered = request.META.get("HTTP_AUTHORIZATION", "").removeprefix("Bearer ")
    token = settings.HUB_METRICS_TOKEN
    return bool(token) and hmac.compare_digest(offered.encode(), token.encode())
