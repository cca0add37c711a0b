"""Execution times in buckets that can be added up: logarithmic, 5 % wide, so that a quantile is true
to within half of that. Pure.

Bucket 0 holds what took less than a millisecond, bucket n > 0 the times from 1.05**(n-1) to 1.05**n
milliseconds. The views of migration 0007 count into the same buckets.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

WIDTH = 1.05
Histogram = Mapping[str, int]


def bucket_of(milliseconds: int) -> int:
    """The bucket that holds a time."""
    return 0 if milliseconds < 1 else math.floor(math.log(milliseconds) / math.log(WIDTH)) + 1


def merged(histograms: Iterable[Histogram]) -> dict[str, int]:
    """All of them as one."""
    found: dict[str, int] = {}
    for histogram in histograms:
        for bucket, number in histogram.items():
            found[bucket] = found.get(bucket, 0) + number
    return found


def quantile(histogram: Histogram, share: float) -> float | None:
    """The time in seconds that ``share`` of the jobs did not exceed; None for an empty histogram."""
    rank = math.ceil(sum(histogram.values()) * share)
    passed = 0
    for bucket in sorted(map(int, histogram)):
        passed += histogram[str(bucket)]
        if passed >= rank > 0:
            return _middle(bucket)
    return None


def _middle(bucket: int) -> float:
    """The bucket's geometric mean, in seconds to the millisecond."""
    return 0.0 if bucket == 0 else round(WIDTH ** (bucket - 0.5) / 1000, 3)
