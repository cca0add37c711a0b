"""The broker of files: delivers, and does not keep its worker from ending."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection

from megahub.kernel.bell import Transport


@pytest.fixture
def broker(tmp_path: Path) -> Any:
    # kombu remembers for all connections of a process what was bound, whichever folders that was in.
    Transport.global_state.clear()
    folders = {"data_folder_in": str(tmp_path), "data_folder_out": str(tmp_path)}
    options = {**folders, "control_folder": str(tmp_path / "control"), "polling_interval": 0.01}
    with Connection(
        "filesystem://", transport="megahub.kernel.bell:Transport", transport_options=options
    ) as opened:
        yield opened


def test_it_works(broker: Any) -> None:
    heard: list[Any] = []
    with broker.SimpleQueue("normal") as queue:
        queue.put({"job": 5})
        queue.consumer.register_callback(lambda body, _: heard.append(body))
        queue.consumer.consume()
        for _ in range(50):
            with suppress(TimeoutError):
                broker.drain_events()
            if heard:
                break

    assert heard == [{"job": 5}]


@pytest.mark.timeout(10)
@pytest.mark.parametrize("patience", [3600, None])
def test_however_long_one_would_wait_it_comes_back(broker: Any, patience: float | None) -> None:
    with broker.SimpleQueue("normal") as queue:
        queue.consumer.consume()
        with pytest.raises(TimeoutError):
            broker.drain_events(timeout=patience)
