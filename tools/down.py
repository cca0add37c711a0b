"""``./hub down``: end what a launcher of this ``HUB_VAR`` runs or has left behind."""

from __future__ import annotations

from tools import places, processes
from tools.report import say


def run() -> int:
    """0, whether there was something to end or not."""
    var = places.var_folder()
    if not processes.end_left_behind(var / "run"):
        say(f"Nothing of HUB_VAR={var} runs.")
    return 0
