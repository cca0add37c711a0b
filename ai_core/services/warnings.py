"""What an answer warns of, and the company's administrators are alerted to: retired, unpriced models."""

from __future__ import annotations

from typing import Any

from ai_core.models import AIJob
from ai_providers.domain.spec import ModelSpec
from ai_providers.selectors import Terms
from ai_usage.services.alerts import RAISE, Alert
from megahub.delivery import selectors as webhooks
from megahub.kernel import clock, journal
from megahub.kernel.text import Text

RETIRED = "Model {model} was shut down by {provider} on {shutdown_date}."
USE_INSTEAD = "Model {model} was shut down by {provider} on {shutdown_date}; use {replacement}."
UNPRICED = "No price is known for model {model}; its cost will be set later."

#: What this process has raised already: (company, type, model, month).
_raised: set[tuple[int, str, str, str]] = set()


async def warnings_of(company_id: int, terms: Terms) -> list[dict[str, Any]]:
    """The warnings that calling this model gives; each is an alert once a month."""
    found = warnings_in(terms)
    for warning in found:
        await _alert(company_id, terms.spec, warning["code"].lower(), warning["message"])
    return found


def warnings_in(terms: Terms) -> list[dict[str, Any]]:
    """The same, with nobody alerted."""
    found, spec = [], terms.spec
    if spec.is_retired(clock.now().date()):
        found.append(_retired(spec))
    if not terms.priced:
        found.append(_told("MODEL_UNPRICED", spec.provider, {"model": spec.id}))
    return found


def warnings_of_row(row: AIJob) -> list[dict[str, Any]]:
    """A stored job's warnings; their messages can be said in every language again."""
    found = []
    for warning in row.warnings or []:
        facts = {name: value for name, value in warning.items() if name not in ("code", "message")}
        found.append(_told(warning["code"], row.provider, facts))
    return found


def _retired(spec: ModelSpec) -> dict[str, Any]:
    facts = {"model": spec.id, "shutdown_date": str(spec.shutdown_date), "replacement": spec.replacement}
    return _told("MODEL_RETIRED", spec.provider, facts)


def _told(code: str, provider: str, facts: dict[str, Any]) -> dict[str, Any]:
    text = Text(
        UNPRICED if code == "MODEL_UNPRICED" else USE_INSTEAD if facts["replacement"] else RETIRED,
        provider=provider,
        **facts,
    )
    return {"code": code, "message": text, **facts}


async def _alert(company_id: int, spec: ModelSpec, alert_type: str, text: Text) -> None:
    month = clock.now().date().replace(day=1)
    key = (company_id, alert_type, spec.id, str(month))
    if key in _raised:
        return
    wanted = await webhooks.wanted(company_id)
    alert = Alert(company_id, alert_type, spec.provider, spec.id, month, text, wanted=wanted)
    await journal.write(RAISE, alert)
    _raised.add(key)
