"""Idempotency-Key: the same key and body replays the answer, another body is refused.

The row is inserted in the transaction that does the work, so that two simultaneous requests cannot
both do it: by the journal when a job is accepted (``claim``; the answer is the job's), by ``begin`` and
``keep`` around any other POST (``replaying.py``; the answer is kept sealed, it may hold a new secret).
A key belongs to a company and a route and lives for 24 hours.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import timedelta

from django.db import connection
from django.http import HttpRequest

from megahub.kernel import clock, sql, vault
from megahub.kernel.errors import (
    HubError,
    IdempotencyInProgress,
    IdempotencyKeyReused,
    ValidationFailed,
)
from megahub.kernel.session import Session
from megahub.kernel.text import Text
from megahub.tenancy import services
from megahub.tenancy.models import IdempotencyKey
from megahub.tenancy.selectors import Caller

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


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer that was given before."""

    status: int
    body: bytes


def of(request: HttpRequest, caller: Caller, route: str) -> Claim | None:
    """The claim of a request's Idempotency-Key header; None without one. Raises ValidationFailed.

    The brand is part of what was asked for: another one is another request.
    """
    return _claim(request, caller.company_id, route, str(caller.brand_id or ""))


def of_person(request: HttpRequest, caller: Caller, route: str, sent: bytes | None = None) -> Claim | None:
    """``of`` for answers that are the caller's own: somebody else's request is another one too.

    ``sent`` stands for a body that is in no memory.
    """
    asked = (caller.brand_id, caller.user_id, caller.api_key_id, request.get_full_path())
    return _claim(request, caller.company_id, route, repr(asked), sent)


def _claim(
    request: HttpRequest, company_id: int, route: str, asked: str, sent: bytes | None = None
) -> Claim | None:
    key = request.META.get("HTTP_IDEMPOTENCY_KEY")
    if key is None:
        return None
    if not FORM.fullmatch(key):
        message = Text("1 to 255 visible ASCII characters.")
        raise ValidationFailed(field_errors={"Idempotency-Key": [message]}, param="Idempotency-Key")
    body = request.body if sent is None else sent
    digest = hashlib.sha256(f"{asked}\n".encode() + body).hexdigest()
    return Claim(company_id, route, key, digest)


def begin(claim: Claim) -> IdempotencyKey | Kept:
    """Insert the key of a request that is about to be served, in the transaction that serves it.

    The answer that was given before, or the row, to be filled by ``keep`` before the transaction ends.
    Raises IdempotencyInProgress while another transaction has the key, IdempotencyKeyReused.
    """
    if not _alone(claim):
        raise IdempotencyInProgress(retry_after=1)
    rows = IdempotencyKey.objects.of(claim.company_id).filter(route=claim.route, key=claim.key)
    rows.filter(created_at__lt=clock.now() - KEEP).delete()
    row: IdempotencyKey | None = rows.first()
    if row is None:
        made: IdempotencyKey = IdempotencyKey.objects.unscoped().create(
            company_id=claim.company_id,
            route=claim.route,
            key=claim.key,
            body_digest=claim.body_digest,
        )
        return made
    if row.body_digest != claim.body_digest:
        raise IdempotencyKeyReused(param="Idempotency-Key")
    data_key = services.data_key(claim.company_id)
    said = vault.unseal(data_key, bytes(row.answer or b""), _context(row))
    return Kept(int(row.status or 0), said.encode())


def keep(row: IdempotencyKey, status: int, body: bytes) -> None:
    """Seal the answer into the row of its key."""
    row.status = status
    row.answer = vault.seal(services.data_key(row.company_id), body.decode(), _context(row))
    row.save(update_fields=["status", "answer"])


def _alone(claim: Claim) -> bool:
    """Whether no other transaction is serving this key; on SQLite writers are alone anyway."""
    if not sql.on_postgres():
        return True
    name = f"{claim.company_id}|{claim.route}|{claim.key}"
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [name])
        return bool(cursor.fetchone()[0])


def _context(row: IdempotencyKey) -> str:
    return f"{TABLE}|{row.company_id}|{row.pk}|answer"


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
