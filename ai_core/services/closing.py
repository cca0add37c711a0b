"""The end of an attempt in one place: whoever ends it (its process, the reaper, the spool) says it here."""

from __future__ import annotations

from typing import Any, Protocol

from ai_core.domain.states import Event, advance
from ai_core.services.settle import Settlement
from ai_providers.domain.pricing import Cost
from ai_providers.domain.wire import Completion
from megahub.kernel import clock
from megahub.kernel.errors import HubError, JobCancelled, ProviderTimeout


class Attempted(Protocol):
    """A job in one of its attempts: as it runs, as it was claimed, or its row."""

    @property
    def pk(self) -> int: ...
    @property
    def job_ref(self) -> str: ...
    @property
    def attempt_no(self) -> int: ...
    @property
    def company_id(self) -> int: ...
    @property
    def brand_id(self) -> int: ...
    @property
    def provider(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def generation(self) -> str: ...
    @property
    def reasoning_effort(self) -> str | None: ...
    @property
    def sandbox(self) -> bool: ...


def settlement(
    job: Attempted,
    error: HubError | None,
    *,
    phase: str,
    source: str = "",
    execution_time_ms: int = 0,
    first_byte_ms: int | None = None,
    completion: Completion | None = None,
    cost: Cost | None = None,
    charged_nano_usd: int = 0,
    wanted: frozenset[str] = frozenset(),
    texts: dict[str, Any] | None = None,
) -> Settlement:
    """How the job's present attempt ends it: with ``error`` or none, and with what was said and used.

    ``texts`` says what of the job's texts is kept (guarding.kept).
    """
    return Settlement(
        job_pk=job.pk,
        job_ref=job.job_ref,
        attempt_no=job.attempt_no,
        company_id=job.company_id,
        brand_id=job.brand_id,
        provider=job.provider,
        model=job.model,
        generation=job.generation,
        reasoning_effort=job.reasoning_effort,
        sandbox=job.sandbox,
        status=advance("running", event_of(error)),
        phase=phase,
        source=source,
        ended_at=clock.now(),
        execution_time_ms=execution_time_ms,
        first_byte_ms=first_byte_ms,
        **(texts if texts is not None else {"response": None, "error": _told(error)}),
        usage=completion.usage if completion else None,
        cost=cost,
        charged_nano_usd=charged_nano_usd,
        provider_ref=completion.provider_id if completion else None,
        wanted=wanted,
    )


def event_of(error: HubError | None) -> Event:
    """Which move of a running job an error (or none) makes."""
    if error is None:
        return "complete"
    if isinstance(error, JobCancelled):
        return "cancel"
    return "expire" if isinstance(error, ProviderTimeout) else "fail"


def _told(error: HubError | None) -> dict[str, Any] | None:
    return error.as_data() if error else None
