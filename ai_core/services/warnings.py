"""What an answer warns of, and the company's administrators are alerted to: retired, unpriced models."""

from __future__ import annotations

from typing import Any

from ai_providers.domain.spec import ModelSpec
from ai_providers.selectors import Terms
from ai_usage.services.alerts import RAISE, Alert
from megahub.kernel import clock, journal
from megahub.kernel.text import Text

RETIRED = "Model {model} was shut down by {provider} on {shutdown_date}."
USE_INSTEAD = "Model {model} was shut down by {provider} on {shutdown_date}; use {replacement}."
UNPRICED = "No price is known for model {model}; its cost will be set later."

#: What this process has raised already: (company, type, model, month).
_raised: set[tuple[int, str, str, str]] = set()


async def warnings_of(company_id: int, terms: Terms) -> list[dict[str, Any]]:
    """The warnings that calling this model gives; each is an alert once a month."""
    found = []
    spec = terms.spec
    if spec.is_retired(clock.now().date()):
        found.append(_retired(spec))
        await _alert(company_id, spec, "model_retired", found[-1]["message"])
    if not terms.priced:
        text = Text(UNPRICED, model=spec.id)
        found.append({"code": "MODEL_UNPRICED", "message": text, "model": spec.id})
        await _alert(company_id, spec, "model_unpriced", text)
    return found


def _retired(spec: ModelSpec) -> dict[str, Any]:
    words = {
        "model": spec.id,
        "provider": spec.provider,
        "shutdown_date": str(spec.shutdown_date),
        "replacement": spec.replacement,
    }
    text = Text(USE_INSTEAD if spec.replacement else RETIRED, **words)
    return {
        "code": "MODEL_RETIRED",
        "message": text,
        "model": spec.id,
        "shutdown_date": words["shutdown_date"],
        "replacement": spec.replacement,
    }


async def _alert(company_id: int, spec: ModelSpec, alert_type: str, text: str) -> None:
    month = clock.now().date().replace(day=1)
    key = (company_id, alert_type, spec.id, str(month))
    if key in _raised:
        return
    alert = Alert(company_id, alert_type, spec.provider, spec.id, month, str(text))
    await journal.write(RAISE, alert)
    _raised.add(key)
