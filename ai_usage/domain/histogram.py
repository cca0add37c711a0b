"""Execution times in buckets that can be added up: logarithmic, 5 % wide, so that a quantile is true
to within half of that. Pure.

Bucket 0 holds what took less than a millisecond, bucket n > 0 the times from 1.05**(n-1) to 1.05**n
milliseconds. The views of migration 0007 count into the same buckets.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

WIDTH = 1.05
Histogram = Mapping[str, int]


def bucket_of(milliseconds: int) -> int:
    """The bucket that holds a time."""
    return 0 if milliseconds < 1 else math.floor(math.log(milliseconds) / math.log(WIDTH)) + 1


def add(whole: dict[str, int], histogram: Histogram) -> None:
    """Count a histogram's jobs into ``whole``."""
    if not whole:
        whole.update(histogram)
        return
    for bucket, number in histogram.items():
        whole[bucket] = whole.get(bucket, 0) + number


def quantiles(histogram: Histogram, *shares: float) -> list[float | None]:
    """The times in seconds that these shares of the jobs did not exceed; None for an empty histogram.

    ``shares`` rise.
    """
    number = sum(histogram.values())
    ranks = [math.ceil(number * share) for share in shares]
    found: list[float | None] = []
    bucket = passed = 0
    buckets = iter(sorted((int(bucket), jobs) for bucket, jobs in histogram.items()))
    for rank in ranks if number else ():
        while passed < rank:
            bucket, jobs = next(buckets)
            passed += jobs
        found.append(_middle(bucket))
    return found or [None] * len(shares)


def _middle(bucket: int) -> float:
    """The bucket's geometric mean, in seconds to the millisecond."""
    return 0.0 if bucket == 0 else round(WIDTH ** (bucket - 0.5) / 1000, 3)
