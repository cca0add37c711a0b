"""A request and the job that it became, as one process holds them while it runs."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ai_core.models import AIJobType
from ai_guard.services.policies import NOTHING, Policy
from ai_providers.domain.gathering import Gathered
from ai_providers.domain.params import Cleaned
from ai_providers.domain.pricing import Cost, Estimate
from ai_providers.domain.wire import Access, Call, Completion, Endpoint, Usage
from ai_providers.selectors import Terms
from ai_usage.services.rates import Taken
from megahub.kernel.errors import HubError
from megahub.kernel.spool import Segment, Spool
from megahub.tenancy.idempotency import Claim
from megahub.tenancy.selectors import Caller

Mark = Segment | None


def new_job_id() -> str:
    """``ai_job_`` and 96 random bits."""
    return f"ai_job_{secrets.token_hex(12)}"


def task_id_of(job_ref: str) -> str:
    """What clients are told of the task that runs a job for later."""
    return f"run-{job_ref.removeprefix('ai_job_')}"


@dataclass(frozen=True, slots=True)
class Order:
    """What a caller asks for. ``input_json`` is the request as it is kept with the job.

    ``with_defaults`` asks for MEGAHUB's default parameters; ``later`` for a worker, ``now`` for an
    answer on this connection whatever the job's type says (OpenAI's clients know no other).
    """

    caller: Caller
    job_type: str
    endpoint: Endpoint
    model: str
    body: dict[str, Any]
    input_json: bytes
    with_defaults: bool
    later: bool = False
    now: bool = False
    priority: str = "normal"
    description: str = ""
    idempotency: Claim | None = None


@dataclass(slots=True)
class Job:
    """An accepted job. ``pk`` is 0 until it is accepted, ``attempt_no`` until it is called.

    The second half fills while it runs: what was said so far (``gathered``), the ``completion``, and
    how it ended (``status``, ``usage``, ``cost``; ``cost`` is None for an unpriced model).
    """

    order: Order
    brand_id: int
    terms: Terms
    cleaned: Cleaned
    call: Call
    is_async: bool
    max_attempts: int
    created_at: datetime
    pk: int = 0
    job_ref: str = field(default_factory=new_job_id)
    attempt_no: int = 0
    unknown_attempts: int = 0
    warnings: list[dict[str, Any]] = field(default_factory=list)
    #: What its company keeps and allows.
    policy: Policy = NOTHING
    #: What it took of its company's rate limits.
    taken: Taken | None = None

    access: Access | None = None
    #: Whether its attempt has been sent to a provider: what was never sent is never unknown.
    was_sent: bool = False
    gathered: Gathered | None = None
    has_spoken: bool = False
    completion: Completion | None = None
    error: HubError | None = None
    #: When to come back, for a job that was not called since every way was shut.
    held_until: datetime | None = None
    #: Whether its failure was everybody's: a provider that is down takes no attempt from a job.
    is_excused: bool = False
    status: str = "pending"
    usage: Usage | None = None
    cost: Cost | None = None
    began: float = 0.0
    first_byte_ms: int | None = None
    execution_time_ms: int | None = None
    #: What the spool holds of it, until it is settled.
    marks: list[Mark] = field(default_factory=list)
    #: Its answer in a spool of its own, while the content filter looks at it.
    unseen: Spool | None = None

    @property
    def company_id(self) -> int:
        return self.order.caller.company_id

    @property
    def provider(self) -> str:
        return self.terms.spec.provider

    @property
    def model(self) -> str:
        return self.terms.spec.id

    @property
    def generation(self) -> str:
        return self.terms.spec.generation

    @property
    def sandbox(self) -> bool:
        return self.terms.is_sandbox

    @property
    def elapsed_ms(self) -> int:
        """Milliseconds since it began to run."""
        return int((time.monotonic() - self.began) * 1000)

    @property
    def reasoning_effort(self) -> str | None:
        """The effort that was asked for, or the model's own."""
        return self.cleaned.reasoning_effort or self.terms.spec.default_reasoning_effort


@dataclass(frozen=True, slots=True)
class Draft:
    """An order that was checked: the job, its type, and the most it may cost."""

    job: Job
    kind: AIJobType
    estimate: Estimate
