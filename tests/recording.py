"""Examples of the OpenAPI document, out of what the tests asked and were answered.

``./hub test tests/… --record-examples missing`` keeps, for each operation that has none yet, the exchange
that tells most; ``all`` does so afresh. Names, keys and tokens of a run are replaced by lasting ones.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

import httpx2
from django.conf import settings

from tests import document

MOST_ITEMS = 2
MOST_BYTES = 6000
#: Whether this run keeps examples: to weigh every answer costs a run that keeps none too much.
WANTED = False
SEEN: dict[tuple[str, str], Exchange] = {}

#: What differs between runs, or looks like a secret, and what stands for it.
LASTING: list[tuple[str, str]] = [
    (r"http://127\.0\.0\.1:\d+", "http://localhost:8000"),
    (r"\b(alice|bob|charlie)-[0-9a-f]+-\d+", r"\1"),
    (r"\bours-[0-9a-f]+-\d+", "acme"),
    (r"\btheirs-[0-9a-f]+-\d+", "globex"),
    (r"\bOurs [0-9a-f]+ \d+", "Acme"),
    (r"\bTheirs [0-9a-f]+ \d+", "Globex"),
    (r"\beyJ[\w-]+\.[\w-]+\.[\w-]+", "<token>"),
    (r"\bwhsec_[\w+/=-]+", "whsec_<secret>"),
    (r"\b(mh|hub|megahub)_[A-Za-z0-9_]{20,}", r"\1_<key>"),
    (r"\bsk-[\w-]{8,}", "sk-<key>"),
    (r"\bAIza[\w-]{8,}", "AIza<key>"),
]


@dataclass
class Exchange:
    """The most telling request and answers of an operation so far."""

    request: Any = None
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    weights: dict[str, int] = field(default_factory=dict)


def see(method: str, url: str, asked: Any, response: httpx2.Response) -> None:
    """Remember the exchange, if it succeeded and tells more than the one before."""
    path = document.path_of(url.split("?", 1)[0])
    if path is None or not 200 <= response.status_code < 300 or not response.content:
        return
    media = response.headers.get("content-type", "").split(";")[0]
    if media == "application/json":
        value = response.json()
    elif media.startswith("text/") or media == "application/x-ndjson":
        value = response.text
    else:
        return
    kept = SEEN.setdefault((method, path), Exchange())
    status, shown = str(response.status_code), lasting(shortened(value))
    weight = _weight(shown)
    if weight > kept.weights.get(f"{status} {media}", -1):
        if weight >= max(kept.weights.values(), default=0):
            kept.request = lasting(shortened(asked))
        kept.weights[f"{status} {media}"] = weight
        kept.answers.setdefault(status, {})[media] = shown


def _weight(value: Any) -> int:
    """How much an answer tells: leaves that are not null; one that is too long tells nothing."""
    if len(json.dumps(value)) > MOST_BYTES:
        return 0
    if isinstance(value, dict):
        return sum(map(_weight, value.values()))
    if isinstance(value, list):
        return sum(map(_weight, value))
    return int(value not in (None, "", 0, False))


def shortened(value: Any) -> Any:
    """Lists of two at most, texts of 400 characters."""
    if isinstance(value, dict):
        return {key: shortened(item) for key, item in list(value.items())[:60]}
    if isinstance(value, list):
        return [shortened(item) for item in value[:MOST_ITEMS]]
    return value[:400] if isinstance(value, str) else value


def lasting(value: Any) -> Any:
    """The same with what belongs to one run replaced."""
    text = json.dumps(value, ensure_ascii=False)
    for pattern, stands in LASTING:
        text = re.sub(pattern, stands, text)
    return json.loads(text)


def write(*, afresh: bool) -> None:
    """One file per operation."""
    for key, kept in SEEN.items():
        details = document.operations().get(key)
        if details is None or not kept.answers:
            continue
        path = settings.HUB_EXAMPLES_DIR / f"{details['operationId']}.json"
        if path.exists() and not afresh:
            continue
        found: dict[str, Any] = {"answers": dict(sorted(kept.answers.items()))}
        if kept.request is not None and "requestBody" in details:
            found = {"request": kept.request, **found}
        path.write_text(json.dumps(found, indent=1, ensure_ascii=False, sort_keys=False) + "\n")
