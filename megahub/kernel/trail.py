"""The audit trail is written here: who changed what, in the transaction of the change, chained by hash.

``with trail.change(request, "webhook.change", row):`` around a change is all that a route needs;
``trail.command(…)`` stands for the request in a command; ``record_in`` writes in one of the journal's
transactions. The tables are ``megahub.audit``'s, named here so that everybody below it can write too
(docs/decisions/0007-audit-trail.md).
"""

from __future__ import annotations

import getpass
import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import wraps
from typing import Any, TypeVar

import orjson
from django.db import connection, transaction
from django.db.models import Model

from megahub.kernel import clock
from megahub.kernel.requests import request_id
from megahub.kernel.session import Session
from megahub.kernel.sql import on_postgres, sqlite_time

log = logging.getLogger("megahub.audit")

#: What comes before a chain's first entry.
GENESIS = "0" * 64
#: The chain of what belongs to no company.
HUB = 0
AGENT_LENGTH, NAME_LENGTH, REASON_LENGTH, ID_LENGTH = 200, 150, 500, 80
Facts = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Origin:
    """Who acts, and from where. ``hops``: how many proxies say they passed the request on."""

    kind: str
    actor_id: int | None = None
    name: str = ""
    api_key_id: int | None = None
    company_id: int | None = None
    ip: str = ""
    hops: int = 0
    agent: str = ""
    request_id: str = ""


@dataclass(slots=True)
class Entry:
    """An entry before it has its place in a chain. ``before`` and ``after`` hold allow-listed facts."""

    origin: Origin
    action: str
    company_id: int | None = None
    object_type: str = ""
    object_id: str = ""
    object_name: str = ""
    before: Facts | None = None
    after: Facts | None = None
    reason: str = ""


def origin_of(request: Any, caller: Any = None) -> Origin:
    """From a request (Django's or DRF's) to who sends it; an ``Origin`` stays what it is.

    A fast view's request has no user: it hands over its ``caller``.
    """
    if isinstance(request, Origin):
        return request
    plain = getattr(request, "_request", request)
    user = caller or getattr(request, "user", None)
    forwarded = [part for part in plain.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if part.strip()]
    key = getattr(user, "api_key_id", None)
    return Origin(
        kind="key" if key is not None else "user" if getattr(user, "pk", None) else "anonymous",
        actor_id=getattr(user, "pk", None),
        name=str(getattr(user, "username", ""))[:NAME_LENGTH],
        api_key_id=key,
        company_id=getattr(user, "company_id", None),
        ip=plain.META.get("REMOTE_ADDR") or "",
        hops=len(forwarded),
        agent=plain.META.get("HTTP_USER_AGENT", "")[:AGENT_LENGTH],
        request_id=request_id(plain),
    )


def command(name: str) -> Origin:
    """An operator's command, by the account that runs it."""
    try:
        account = getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as containers have
        account = "?"
    return Origin("command", name=f"{name} ({account})"[:NAME_LENGTH])


def system(name: str) -> Origin:
    """What the hub does by itself."""
    return Origin("system", name=name)


def facts(row: Model | None) -> Facts | None:
    """The fields of a row that its class lists as ``audited``; None of none, or of one that is gone."""
    if row is None:
        return None
    return {name: _plain(_value(row, name)) for name in getattr(row, "audited", ())}


def stored(row: Model | None) -> Facts | None:
    """The facts of a row as the database has it now."""
    if row is None or row.pk is None:
        return None
    return facts(type(row)._base_manager.filter(pk=row.pk).first())


@dataclass(slots=True)
class Change:
    """A change under way: ``about`` names a row that it makes, ``after`` what it comes to."""

    row: Model | None = None
    object_id: str = ""
    company_id: int | None = None
    read: Callable[[], Facts | None] | None = None
    after: Facts | None = None
    before: Facts | None = field(init=False)

    def __post_init__(self) -> None:
        self.before = self.facts()

    def about(self, row: Model) -> None:
        """The row that is made here."""
        self.row = row

    def facts(self) -> Facts | None:
        """What can be told now."""
        if self.after is not None:
            return {name: _plain(value) for name, value in self.after.items()}
        return self.read() if self.read is not None else stored(self.row)


@contextmanager
def change(
    request: Any,
    action: str,
    row: Model | None = None,
    *,
    kind: str = "",
    object_id: Any = "",
    company_id: int | None = None,
    read: Callable[[], Facts | None] | None = None,
    reason: str = "",
) -> Iterator[Change]:
    """A transaction around a change that ends with its one entry, or with neither.

    ``row`` is what is changed (None when it is made: tell ``about`` it). What is no single row has a
    ``kind`` and an ``object_id``, and ``read`` answers its facts before and after. The company is the
    row's, else the caller's, unless one is given.
    """
    origin = origin_of(request)
    with transaction.atomic():
        under_way = Change(row, str(object_id), company_id, read)
        name = "" if row is None else str(row)
        yield under_way
        record(_entry(origin, action, under_way, kind, name, reason))


def within(origin: Origin, action: str, kind: str, object_id: Any, act: Callable[..., T], *args: Any) -> T:
    """``act(*args)`` with its entry in one transaction: for fast views, which hand it to a thread."""
    with change(origin, action, kind=kind, object_id=object_id):
        return act(*args)


def note(request: Any, action: str, row: Model | None = None, **facts_after: Any) -> None:
    """One entry of its own, for what changes nothing that could be told before and after."""
    with transaction.atomic():
        entry = about(request, action, row)
        entry.after = {name: _plain(value) for name, value in facts_after.items()} or None
        record(entry)


def recorded(action: str, *options: str, atomic: bool = False, when: str = "") -> Any:
    """A command's ``handle`` that leaves one entry, with these of its options and what they were.

    ``atomic``: in the transaction of its changes; those that ask the network, or commit as they go, are
    entered when they are done. ``when`` names the option without which nothing is changed.
    """

    def wrap(handle: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(handle)
        def kept(self: Any, *args: Any, **given: Any) -> Any:
            if when and not given[when]:
                return handle(self, *args, **given)
            origin = command(type(self).__module__.rpartition(".")[2])
            told = {name: given[name] for name in options if given.get(name) is not None}
            with transaction.atomic() if atomic else nullcontext():
                found = handle(self, *args, **given)
                note(origin, action, **told)
            return found

        kept.recorded = action  # type: ignore[attr-defined]
        return kept

    return wrap


def about(request: Any, action: str, row: Model | None, reason: str = "") -> Entry:
    """An entry about a row, for whoever records it elsewhere (the journal, the admin)."""
    origin = origin_of(request)
    return Entry(
        origin=origin,
        action=action,
        company_id=_company(row, origin),
        object_type=row._meta.label_lower if row is not None else "",
        object_id=str(row.pk)[:ID_LENGTH] if row is not None else "",
        object_name=str(row)[:NAME_LENGTH] if row is not None else "",
        reason=reason[:REASON_LENGTH],
    )


def difference(before: Facts | None, after: Facts | None) -> tuple[Facts | None, Facts | None]:
    """Of two states only what differs; what is made or taken away is told whole."""
    if before is None or after is None:
        return before, after
    changed = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    old = {name: before[name] for name in changed if name in before}
    return old, {name: after[name] for name in changed if name in after}


def record(entry: Entry) -> None:
    """Write an entry in Django's open transaction; the chain is held until it ends."""
    if not connection.in_atomic_block:
        raise RuntimeError("an audit entry belongs into the transaction of its change")
    with connection.cursor() as cursor:

        def rows(statement: str, params: Sequence[Any]) -> list[Any]:
            cursor.execute(statement, params)
            return cursor.fetchall() if cursor.description else []

        told = _append(rows, entry, " FOR UPDATE" if on_postgres() else "", _time)
    transaction.on_commit(lambda: log.info("audit", extra=told))


def record_in(session: Session, entry: Entry) -> None:
    """Write an entry in one of the journal's transactions."""
    _append(session.rows, entry, session.for_update, session.time)


def _append(
    rows: Callable[[str, Sequence[Any]], list[Any]],
    entry: Entry,
    for_update: str,
    time: Callable[[datetime], Any],
) -> Facts:
    """Lock the chain's head, put the entry behind it, move the head."""
    chain = entry.company_id or HUB
    rows(
        "INSERT INTO audit_audithead (chain, seq, hash) VALUES (%s, 0, %s) ON CONFLICT DO NOTHING"
        " RETURNING chain",
        [chain, GENESIS],
    )
    (found,) = rows(f"SELECT seq, hash FROM audit_audithead WHERE chain = %s{for_update}", [chain])
    values = _columns(entry, chain, int(found[0]) + 1, str(found[1]))
    values["hash"] = digest(values)
    stored_values = {**values, "at": time(values["at"])}
    for name in ("before", "after"):
        if values[name] is not None:
            stored_values[name] = orjson.dumps(values[name]).decode()
    names = ", ".join(f'"{name}"' for name in stored_values)
    marks = ", ".join(["%s"] * len(stored_values))
    rows(
        f"INSERT INTO audit_auditentry ({names}) VALUES ({marks}) RETURNING seq",
        list(stored_values.values()),
    )
    rows(
        "UPDATE audit_audithead SET seq = %s, hash = %s WHERE chain = %s RETURNING chain",
        [values["seq"], values["hash"], chain],
    )
    return {"chain": chain, "seq": values["seq"], "action": entry.action, "hash": values["hash"]}


def _columns(entry: Entry, chain: int, seq: int, previous: str) -> Facts:
    origin = entry.origin
    return {
        "company_id": entry.company_id,
        "chain": chain,
        "seq": seq,
        "at": clock.now(),
        "actor_kind": origin.kind,
        "actor_id": origin.actor_id,
        "actor_name": origin.name,
        "api_key_id": origin.api_key_id,
        "ip": origin.ip,
        "hops": origin.hops,
        "user_agent": _clean(origin.agent),
        "request_id": origin.request_id,
        "action": entry.action,
        "object_type": entry.object_type,
        "object_id": entry.object_id,
        "object_name": _clean(entry.object_name),
        "before": entry.before,
        "after": entry.after,
        "reason": _clean(entry.reason),
        "prev_hash": previous,
    }


def digest(values: Facts) -> str:
    """SHA-256 over every column of an entry but its own hash, in a form that both databases give back."""
    told = {name: value for name, value in values.items() if name != "hash"}
    told["at"] = values["at"].astimezone(UTC).isoformat(timespec="microseconds")
    return hashlib.sha256(orjson.dumps(told, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _entry(origin: Origin, action: str, under_way: Change, kind: str, name: str, reason: str) -> Entry:
    entry = about(origin, action, under_way.row, reason)
    if under_way.company_id is not None:
        entry.company_id = under_way.company_id
    entry.object_type = kind or entry.object_type
    entry.object_id = under_way.object_id[:ID_LENGTH] or entry.object_id
    entry.object_name = name[:NAME_LENGTH] or entry.object_name
    entry.before, entry.after = difference(under_way.before, under_way.facts())
    return entry


def _company(row: Model | None, origin: Origin) -> int | None:
    """Whose chain: that of the row's company, of the company itself, else of who acts in one."""
    if row is not None and row._meta.label == "tenancy.Company":
        return int(row.pk)
    found = getattr(row, "company_id", None)
    return found if found is not None else origin.company_id


def _value(row: Model, name: str) -> Any:
    found = row._meta.get_field(name)
    if found.many_to_many:
        return sorted(getattr(row, name).values_list("pk", flat=True))
    return getattr(row, found.attname)  # type: ignore[union-attr]


def _plain(value: Any) -> Any:
    """As JSON, the same on both databases; no float, which one of them might round."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(each) for each in value]
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    return _clean(str(value))


def _clean(text: str) -> str:
    """PostgreSQL stores no NUL."""
    return text.replace("\0", "")


def _time(moment: datetime) -> Any:
    return moment if on_postgres() else sqlite_time(moment)
