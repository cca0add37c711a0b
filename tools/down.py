"""``./hub down``: end what a launcher of this ``HUB_VAR`` runs or has left behind."""

from __future__ import annotations

from tools import places, processes
from tools.report import say


def run() -> int:
    """0, whether there was something to end or not."""
    var = places.var_folder()
    ended = [processes.end_recorded(folder / "run") for folder in (var, var / "test")]
    if not any(ended):
        say(f"Nothing of HUB_VAR={var} runs.")
    return 0
