"""``/healthz``, ``/readyz`` and ``/metrics``: of a hub that is well, and of one whose servers are away."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client

from ai_core.models import WorkerSession
from megahub.kernel import clock
from megahub.tenancy.models import User
from tests.conftest import Api, as_owner
from tests.processes import Hub, wait_for
from tests.world import RUN, Cast
from tools import services

TOKEN = "scrape-me-0123456789"


@pytest.fixture
def worker(database: None) -> Iterator[WorkerSession]:
    """A worker that beats, the only one."""
    WorkerSession.objects.filter(ended_at=None).exclude(kind="web").update(ended_at=clock.now())
    session = WorkerSession.objects.create(kind="worker", host="here", pid=1, beat_at=clock.now())
    yield session
    session.delete()


class TestWell:
    def test_it_lives(self, api: Api, settings: Any) -> None:
        settings.HUB_RUN_ID = "run-7"

        response = api.get("/healthz")

        assert (response.status_code, response.json()) == (200, {"status": "ok", "run_id": "run-7"})
        assert api.request("HEAD", "/healthz").status_code == 200

    def test_it_is_ready(self, api: Api, worker: WorkerSession) -> None:
        response = api.get("/readyz")

        assert response.status_code == 200
        assert response.json() == {"status": "ok", "database": "ok", "broker": "ok", "workers": "ok"}

    def test_it_is_not_without_a_worker(self, api: Api, worker: WorkerSession) -> None:
        WorkerSession.objects.filter(pk=worker.pk).update(ended_at=clock.now())

        response = api.get("/readyz")

        assert response.status_code == 503
        assert response.json() == {
            "status": "not ready",
            "database": "ok",
            "broker": "ok",
            "workers": "no worker beats",
        }

    def test_nor_before_its_migrations(self, api: Api, worker: WorkerSession) -> None:
        last = MigrationRecorder.Migration.objects.filter(app="ai_openai").latest("name")
        applied = "INSERT INTO django_migrations (id, app, name, applied) VALUES (%s, %s, %s, %s)"
        with as_owner() as owner:  # the application may not
            owner.execute("DELETE FROM django_migrations WHERE id = %s", [last.pk])
        try:
            response = api.get("/readyz")
        finally:
            with as_owner() as owner:
                owner.execute(applied, [last.pk, last.app, last.name, last.applied])

        assert response.status_code == 503
        assert response.json()["database"] == "1 migrations are not applied"


@pytest.fixture(scope="module")
def lonely(tmp_path_factory: pytest.TempPathFactory, database: None) -> Iterator[Hub]:
    """A web process whose database and broker are away; its log is the hub's."""
    folder = tmp_path_factory.mktemp("lonely")
    hub = Hub(
        folder,
        "",
        DATABASE_URL=f"sqlite:///{folder}/absent/hub.sqlite3",
        CELERY_BROKER_URL=f"redis://127.0.0.1:{services.free_port('127.0.0.1')}/0",
        HUB_RUN_ID="lonely",
    )
    hub.web()
    wait_for(hub.listens)
    yield hub
    hub.end()


class TestAway:
    def test_it_lives(self, lonely: Hub) -> None:
        response = httpx2.get(f"{lonely.url}/healthz", trust_env=False)

        assert (response.status_code, response.json()) == (200, {"status": "ok", "run_id": "lonely"})

    def test_it_is_not_ready_and_says_why(self, lonely: Hub) -> None:
        response = httpx2.get(f"{lonely.url}/readyz", trust_env=False, timeout=20)

        assert response.status_code == 503
        assert response.json() == {
            "status": "not ready",
            "database": "OperationalError",
            "broker": "OperationalError",
            "workers": "unknown",
        }

    def test_who_asks_for_the_metrics_is_told_no_more(self, lonely: Hub) -> None:
        response = httpx2.get(f"{lonely.url}/metrics", trust_env=False)

        assert (response.status_code, response.text) == (404, "Not found.")


class TestMetrics:
    @pytest.fixture(autouse=True)
    def token(self, settings: Any) -> None:
        settings.HUB_METRICS_TOKEN = TOKEN

    def test_the_bearer_of_the_token_sees_them(self, api: Api, worker: WorkerSession) -> None:
        response = api.as_(TOKEN).get("/metrics")

        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/plain; version=")
        lines = response.text.splitlines()
        assert 'megahub_sessions{kind="worker"} 1.0' in lines
        assert "# TYPE megahub_provider_calls_total counter" in lines

    @pytest.mark.parametrize("offered", [None, "wrong", TOKEN[:-1], TOKEN + "0", "é"])
    def test_strangers_find_nothing(self, api: Api, cast: Cast, offered: str | None) -> None:
        headers = {} if offered is None else {"Authorization": f"Bearer {offered}".encode()}

        response = api.get("/metrics", headers=headers)

        assert (response.status_code, response.text) == (404, "Not found.")

    def test_nor_does_an_owner_of_a_company(self, api: Api, cast: Cast) -> None:
        assert api.as_(cast.alice).get("/metrics").status_code == 404

    @pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer"}, {"Authorization": ""}])
    def test_without_a_token_of_the_hubs_none_fits(
        self, api: Api, settings: Any, header: dict[str, str]
    ) -> None:
        settings.HUB_METRICS_TOKEN = ""

        assert api.get("/metrics", headers=header).status_code == 404

    @pytest.mark.parametrize(("superuser", "code"), [(True, 200), (False, 404)])
    def test_in_the_browser_of_a_superuser(self, cast: Cast, superuser: bool, code: int) -> None:
        user = User.objects.create_user(f"watcher-{RUN}-{superuser}", password="correct horse")
        user.is_staff, user.is_superuser = True, superuser
        user.save()
        client = Client()
        client.force_login(user)

        assert client.get("/metrics").status_code == code
