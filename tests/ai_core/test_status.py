"""What Prometheus is told: as it is now, nothing of yesterday."""

from __future__ import annotations

from ai_core import pipeline
from ai_core.services import status
from megahub.kernel import loop
from tests import world
from tests.world import Cast


def charged() -> dict[str, str]:
    """The providers that something was charged for today, by ``sandbox``."""
    (metric,) = status.CHARGED.collect()
    return {sample.labels["sandbox"]: sample.labels["provider"] for sample in metric.samples}


def test_charges_of_another_day_are_not_told_of_today(cast: Cast) -> None:
    loop.run(pipeline.run(world.submit(cast.alice)))
    status.CHARGED.labels("yesterdays", "never").set(5)

    status.observe({})

    assert charged()["true"]
    assert "never" not in charged()
