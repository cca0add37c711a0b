"""Whether and when to try again. Delays are dates in the job's row, never a sleeping worker."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from megahub.kernel.errors import HubError

BASE_SECONDS = 1.0
CEILING_SECONDS = 60.0
LONGEST = timedelta(hours=1)
#: A call whose outcome is unknown may have been paid for: it is repeated once at most.
MAX_UNKNOWN_REPEATS = 1
#: Tools that a model only asks for: its caller runs them, or does not.
WRITTEN_ONLY = frozenset(("function", "custom"))


def may_retry(error: HubError, attempt_no: int, max_attempts: int, unknown_before: int) -> bool:
    """Whether another attempt is allowed after ``error`` in attempt ``attempt_no`` (from 1)."""
    if not error.retryable or attempt_no >= max_attempts:
        return False
    return not error.outcome_unknown or unknown_before < MAX_UNKNOWN_REPEATS


def may_repeat(is_async: bool, params: Mapping[str, Any]) -> bool:
    """Whether a call whose outcome is unknown may be made again: nobody waits for it, and all that it
    can have done is to write an answer. Tools that the provider runs may have acted on the world.
    """
    return is_async and _only_writes(params)


def may_move_on(error: HubError, params: Mapping[str, Any], unknown_before: int) -> bool:
    """Whether the next key is tried at once after ``error``, before anything was said. A call whose
    outcome is unknown is repeated by that, too.
    """
    if not error.outcome_unknown:
        return error.retryable
    return error.retryable and unknown_before < MAX_UNKNOWN_REPEATS and _only_writes(params)


def _only_writes(params: Mapping[str, Any]) -> bool:
    tools = params.get("tools") or ()
    kinds = {tool.get("type") for tool in tools if isinstance(tool, dict)}
    return kinds <= WRITTEN_ONLY


def run_at(
    error: HubError, attempt_no: int, now: datetime, jitter: random.Random | None = None
) -> datetime:
    """When to try again: the later of the provider's Retry-After and a full-jitter backoff.

    The backoff is uniform between 0 and ``BASE_SECONDS * 2 ** attempt_no`` (60 s at most); the whole
    is an hour at most.
    """
    ceiling = min(CEILING_SECONDS, BASE_SECONDS * 2**attempt_no)
    backoff = (jitter or random).uniform(0, ceiling)
    seconds = max(error.retry_after or 0.0, backoff)
    return now + timedelta(seconds=min(seconds, LONGEST.total_seconds()))
