"""A process's session: begun once, ended whatever the database says."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import OperationalError

from ai_core.models import WorkerSession
from ai_core.services.sessions import Process


def test_it_works(database: None) -> None:
    process = Process()

    pk = process.begin("worker")
    assert process.begin() == pk
    process.end()

    row = WorkerSession.objects.get(pk=pk)
    assert row.kind == "worker"
    assert row.ended_at is not None
    assert process.session_id is None


def test_it_ends_without_a_database(database: None, monkeypatch: pytest.MonkeyPatch) -> None:
    process = Process()
    pk = process.begin("worker")

    def away(_: Process) -> Any:
        raise OperationalError("the connection is lost")

    monkeypatch.setattr(Process, "_row", away)
    process.end()

    assert process.session_id is None
    assert WorkerSession.objects.filter(pk=pk).update(ended_at="2026-01-01T00:00:00Z") == 1
