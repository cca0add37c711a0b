"""The broker of files: delivers, and does not keep its worker from ending."""

from __future__ import annotations

import fcntl
import threading
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


def test_a_message_has_its_name_when_it_is_whole(
    broker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that finds half a message ends of it."""
    seen: list[list[str]] = []
    real = Path.write_text

    def watched(self: Path, text: str) -> int:
        written = real(self, text[: len(text) // 2])
        seen.append([path.name for path in tmp_path.glob("*.normal.msg")])
        return written + real(self, text)

    monkeypatch.setattr(Path, "write_text", watched)
    with broker.SimpleQueue("normal") as queue:
        queue.put({"job": 5})

        assert seen == [[]]
        assert queue.get(timeout=5).payload == {"job": 5}


def test_who_is_bound_is_changed_by_one_process_at_a_time(broker: Any, tmp_path: Path) -> None:
    """A process that starts finds no table that another one has begun to write."""
    table = tmp_path / "control" / "hub.exchange"
    table.parent.mkdir(exist_ok=True)
    channel = broker.channel()
    found: list[Any] = []
    with (tmp_path / "control" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        table.write_text("[")
        reader = threading.Thread(target=lambda: found.append(channel.get_table("hub")))
        reader.start()
        reader.join(timeout=0.2)
        assert reader.is_alive()
        table.write_text('[["normal", "", "normal"]]')
    reader.join(timeout=5)

    assert found == [[("normal", "", "normal")]]
