"""A watch: how long something has taken so far."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass
class Watch:
    """Begins when it is made."""

    began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Since then."""
        return time.monotonic() - self.began
