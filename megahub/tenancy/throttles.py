"""How often somebody may try to sign in: counted in the database, by one conditional statement a try.

GCRA in rows: exact across processes, and it cannot fail open, since a database that does not answer
signs nobody in either. A name and an address are counted together: guessing from one place
shuts nobody else out, and a name that does not exist is counted like any other. Addresses are counted alone
too, more generously, against guessing many names.
"""

from __future__ import annotations

import hashlib

from django.conf import settings
from django.db import connection

from megahub.kernel import clock
from megahub.kernel.errors import RateLimited
from megahub.kernel.sql import on_postgres
from megahub.tenancy.models import Throttle

TABLE = "tenancy_throttle"
INVITATIONS_A_DAY = 200


def sign_in(username: str, address: str) -> None:
    """Count a try. Raises RateLimited."""
    seconds = settings.HUB_SIGN_IN_SECONDS
    _take(_name("address", address), settings.HUB_SIGN_IN_ADDRESS_LIMIT, seconds)
    _take(_account(username, address), settings.HUB_SIGN_IN_LIMIT, seconds)


def signed_in(username: str, address: str) -> None:
    """Forget the tries of a name from an address: whoever knows the password was not guessing."""
    Throttle.objects.filter(pk=_account(username, address)).delete()


def guess(name: str) -> None:
    """Count a try of what somebody who is known still has to show, wherever from. Raises RateLimited."""
    _take(_account(name, ""), settings.HUB_SIGN_IN_LIMIT, settings.HUB_SIGN_IN_SECONDS)


def guessed(name: str) -> None:
    """Forget these tries: it was shown."""
    signed_in(name, "")


def once(name: str, seconds: int) -> None:
    """What may be done once in so many seconds. Raises RateLimited from the second time on."""
    _take(_name("once", name), 1, seconds)


def refresh(address: str) -> None:
    """Count a refresh from an address. Raises RateLimited."""
    _take(_name("refresh", address), settings.HUB_REFRESH_LIMIT, settings.HUB_SIGN_IN_SECONDS)


def invite(company_id: int) -> None:
    """Count an invitation that is mailed: the hub writes to strangers for nobody. Raises RateLimited."""
    _take(_name("invite", str(company_id)), INVITATIONS_A_DAY, 24 * 3600)


def forget_old() -> None:
    """Delete what counts no longer."""
    Throttle.objects.filter(empty_at_ms__lt=_now_ms()).delete()


def _account(username: str, address: str) -> str:
    return _name("account", username.casefold(), address)


def _name(*parts: str) -> str:
    """A fixed length, and no names of people in it."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _now_ms() -> int:
    return int(clock.now().timestamp() * 1000)


def _take(name: str, limit: int, seconds: int) -> None:
    """One of ``limit`` in ``seconds``; each comes back after its share of the time. Raises RateLimited."""
    now, share = _now_ms(), seconds * 1000 // limit
    later = "GREATEST" if on_postgres() else "MAX"
    statement = (
        f"INSERT INTO {TABLE} (name, empty_at_ms) VALUES (%s, %s) ON CONFLICT (name) DO UPDATE"
        f" SET empty_at_ms = {later}({TABLE}.empty_at_ms, %s) + %s"
        f" WHERE {later}({TABLE}.empty_at_ms, %s) + %s <= %s"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [name, now + share, now, share, now, share, now + limit * share])
        if cursor.rowcount == 1:
            return
    found = Throttle.objects.filter(pk=name).values_list("empty_at_ms", flat=True).first() or now
    raise RateLimited(retry_after=max(1.0, (found + share - limit * share - now) / 1000))
