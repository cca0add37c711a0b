"""How much the stateful tests play: little by default.

``PYTEST_STATEFUL_EXAMPLES=2000 PYTEST_STATEFUL_STEPS=60`` is the long run, whose table stands in
docs/reliability.md.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

SCALE = settings(
    max_examples=int(os.environ.get("PYTEST_STATEFUL_EXAMPLES", "8")),
    stateful_step_count=int(os.environ.get("PYTEST_STATEFUL_STEPS", "20")),
    deadline=None,
    database=None,
    derandomize="PYTEST_STATEFUL_EXAMPLES" not in os.environ,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
