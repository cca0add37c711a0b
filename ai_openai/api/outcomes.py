"""An ended chat or embeddings job in MEGAHUB's words, whether it just ran here or lies in the database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ai_core.domain.kinds import result_of
from ai_core.models import AIJob
from ai_core.services.job import Job
from ai_core.services.warnings import warnings_of_row
from ai_openai.domain import chat
from megahub.kernel import errors, money
from megahub.kernel.errors import HubError


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an answer is made of; ``response`` is shaped like OpenAI's, None for a job that failed."""

    job_ref: str
    status: str
    endpoint: str
    model: str
    generation: str
    reasoning_effort: str | None
    sandbox: bool
    response: dict[str, Any] | None
    error: HubError | None
    prompt_tokens: int
    completion_tokens: int
    cost_nano_usd: int | None
    execution_time_ms: int | None
    warnings: list[dict[str, Any]]

    @classmethod
    def of_job(cls, job: Job) -> Outcome:
        """A job that has just ended in this process."""
        return cls(
            job_ref=job.job_ref,
            status=job.status,
            endpoint=job.call.endpoint,
            model=job.terms.spec.id,
            generation=job.terms.spec.generation,
            reasoning_effort=job.reasoning_effort,
            sandbox=job.terms.is_sandbox,
            response=job.completion.body if job.completion else None,
            error=job.error,
            prompt_tokens=job.usage.prompt_tokens if job.usage else 0,
            completion_tokens=job.usage.completion_tokens if job.usage else 0,
            cost_nano_usd=job.cost.usd_nano if job.cost else None,
            execution_time_ms=job.execution_time_ms,
            warnings=job.warnings,
        )

    @classmethod
    def of_row(cls, row: AIJob) -> Outcome:
        """A job as it lies in the database, with its usage and its OpenAIJob."""
        usage = getattr(row, "usage", None)
        beside = getattr(row, "openai_job", None)
        return cls(
            job_ref=row.job_id,
            status=row.status,
            endpoint=row.endpoint,
            model=row.model,
            generation=beside.generation if beside else "",
            reasoning_effort=beside.reasoning_effort if beside else None,
            sandbox=row.sandbox,
            response=row.response,
            error=errors.restore(row.error) if row.error else None,
            prompt_tokens=usage.input_tokens if usage else 0,
            completion_tokens=usage.output_tokens if usage else 0,
            cost_nano_usd=usage.total_cost_nano_usd if usage else None,
            execution_time_ms=row.execution_time_ms,
            warnings=warnings_of_row(row),
        )

    @property
    def result(self) -> dict[str, Any] | None:
        """``{completion, finish_reason}``, None for a job that said nothing."""
        return result_of(self.endpoint, self.response)

    @property
    def usage(self) -> dict[str, Any]:
        """Tokens and cost as MEGAHUB's clients read them; the cost is null while it is unknown."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
            "cost_usd": money.show(self.cost_nano_usd),
        }

    def as_chat(self) -> dict[str, Any]:
        """The answer of ``POST /ai/openai/chat/``."""
        return {
            "job_id": self.job_ref,
            "status": self.status,
            "result": self.result,
            "usage": self.usage,
            "model": self.model,
            "generation": self.generation,
            "reasoning_effort": self.reasoning_effort,
            "execution_time_ms": self.execution_time_ms,
            "quality_indicators": chat.quality_indicators(self.response or {}),
            "sandbox": self.sandbox,
            "warnings": self.warnings,
        }
