"""Idempotency-Key: the same key and body replays the job's answer, another body is refused.

The row is inserted in the transaction that accepts the job (``claim``), so that two simultaneous
requests cannot both be accepted. A key belongs to a company and a route and lives for 24 hours.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import timedelta

from django.http import HttpRequest

from megahub.kernel import clock, sql
from megahub.kernel.errors import (
    HubError,
    IdempotencyInProgress,
    IdempotencyKeyReused,
    ValidationFailed,
)
from megahub.kernel.session import Session
from megahub.kernel.text import Text
from megahub.tenancy.models import IdempotencyKey

KEEP = timedelta(hours=24)
FORM = re.compile(r"[\x21-\x7e]{1,255}")
TABLE = "tenancy_idempotencykey"
ROWS = sql.Rows(
    "r",
    {
        "company_id": "int",
        "route": "text",
        "key": "text",
        "body_digest": "text",
        "job_ref": "text",
        "created_at": "time",
    },
)


@dataclass(frozen=True, slots=True)
class Claim:
    """A request's key: whose, where, for which body, and the job it is about to make."""

    company_id: int
    route: str
    key: str
    body_digest: str


@dataclass(frozen=True, slots=True)
class Replay:
    """The key was used before with this body; ``job_ref`` is the job that it made."""

    job_ref: str


def of(request: HttpRequest, company_id: int, route: str) -> Claim | None:
    """The claim of a request's Idempotency-Key header; None without one. Raises ValidationFailed."""
    key = request.META.get("HTTP_IDEMPOTENCY_KEY")
    if key is None:
        return None
    if not FORM.fullmatch(key):
        message = Text("1 to 255 visible ASCII characters.")
        raise ValidationFailed(field_errors={"Idempotency-Key": [message]}, param="Idempotency-Key")
    return Claim(company_id, route, key, hashlib.sha256(request.body).hexdigest())


def claim(session: Session, claims: list[tuple[Claim, str]]) -> dict[int, HubError | Replay]:
    """Insert (claim, job_ref) pairs; by position, why one was not: a Replay or an error."""
    moment = clock.now()
    wanted = [
        {
            "company_id": c.company_id,
            "route": c.route,
            "key": c.key,
            "body_digest": c.body_digest,
            "job_ref": job_ref,
            "created_at": moment,
        }
        for c, job_ref in claims
    ]
    statement = sql.insert(TABLE, ROWS, "ON CONFLICT DO NOTHING RETURNING job_ref")
    inserted = {ref for (ref,) in session.rows(statement, [ROWS.pack(wanted)])}
    return {
        position: _verdict(session, c)
        for position, (c, job_ref) in enumerate(claims)
        if job_ref not in inserted
    }


def _verdict(session: Session, c: Claim) -> HubError | Replay:
    rows = session.rows(
        f"SELECT body_digest, job_ref FROM {TABLE} WHERE company_id = %s AND route = %s AND key = %s",
        [c.company_id, c.route, c.key],
    )
    if not rows:
        return IdempotencyInProgress(retry_after=1)
    body_digest, job_ref = rows[0]
    if body_digest != c.body_digest:
        return IdempotencyKeyReused(param="Idempotency-Key")
    return Replay(job_ref)


def give_back(session: Session, c: Claim) -> None:
    """Free the key of a request that was refused after all."""
    session.execute(
        f"DELETE FROM {TABLE} WHERE company_id = %s AND route = %s AND key = %s",
        [c.company_id, c.route, c.key],
    )


def forget_old() -> int:
    """Delete keys older than 24 hours; how many."""
    old = IdempotencyKey.objects.unscoped().filter(created_at__lt=clock.now() - KEEP)
    return int(old.delete()[0])
