"""Carrying the stored keys away and bringing them back: one file, sealed under the master key.

The file holds what the database holds, keys still encrypted under their companies' data keys, and is
encrypted as a whole under a key of its own that the master key wraps. Whoever has the file without the
master key has nothing. Bringing back opens each key and seals it anew for the company of that slug, so
that the numbers of rows may differ.
"""

from __future__ import annotations

import base64
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from django.db import transaction

from ai_providers import selectors
from ai_providers.models import AICredentials, SealedKey
from megahub.kernel import clock, vault
from megahub.tenancy import services as tenancy
from megahub.tenancy.models import Company, CompanyKey, User

FORMAT = "megahub-credentials-1"
SETTINGS = ("use_global_fallback", "openai_organization", "infomaniak_product_id")
DATES = ("created_at", "retired_at", "refused_at", "validated_at")


class Unreadable(Exception):
    """A file that is no backup, was changed, or was made under another master key."""


@dataclass(slots=True)
class Outcome:
    """What became of a file's keys; the last three name those that were left out, and why."""

    restored: int = 0
    known: int = 0
    in_use: list[str] = field(default_factory=list)
    without_company: list[str] = field(default_factory=list)
    unopened: list[str] = field(default_factory=list)


def make() -> tuple[bytes, int]:
    """(the file, how many keys it holds)."""
    uid = str(uuid.uuid4())
    rows = AICredentials.objects.unscoped().select_related("company").order_by("pk")
    companies = [_company(row) for row in rows]
    master_id, wrapped = vault.new_data_key(f"backup|{uid}")
    key = vault.unwrap(master_id, wrapped, f"backup|{uid}")
    sealed = vault.seal(key, orjson.dumps(companies).decode(), _context(uid))
    file = {
        "format": FORMAT,
        "uid": uid,
        "made_at": clock.iso(clock.now()),
        "master_key": master_id,
        "wrapped": _text(wrapped),
        "sealed": _text(sealed),
    }
    return orjson.dumps(file, option=orjson.OPT_INDENT_2), sum(len(c["keys"]) for c in companies)


def restore(raw: bytes, *, replace: bool = False) -> Outcome:
    """Bring a file's keys back; repeatable. ``replace``: its keys in use take the place of present ones.

    Raises Unreadable before anything is changed.
    """
    companies = _opened(raw)
    outcome = Outcome()
    for told in companies:
        company = Company.objects.filter(slug=told["slug"]).first()
        if company is None:
            outcome.without_company.append(told["slug"])
            continue
        with transaction.atomic():
            _restore(company, told, replace, outcome)
    selectors.forget()
    return outcome


def _company(row: AICredentials) -> dict[str, Any]:
    data_key = CompanyKey.objects.of(row.company_id).first()
    keys = SealedKey.objects.of(row.company_id).select_related("created_by", "retired_by").order_by("pk")
    return {
        "slug": row.company.slug,
        "number": row.company_id,
        "is_deleted": row.deleted_at is not None,
        "settings": {name: getattr(row, name) for name in SETTINGS},
        "master_key": data_key.master_key_id if data_key else None,
        "data_key": _text(data_key.wrapped) if data_key else None,
        "keys": [_key(key) for key in keys],
    }


def _key(key: SealedKey) -> dict[str, Any]:
    people = {"created_by": key.created_by, "retired_by": key.retired_by}
    return {
        "uid": str(key.uid),
        "provider": key.provider,
        "base_url": selectors.base_url_of(key.provider),
        "sealed": _text(key.sealed),
        **{name: clock.iso(getattr(key, name)) for name in DATES},
        **{name: person.username if person else None for name, person in people.items()},
    }


def _opened(raw: bytes) -> list[dict[str, Any]]:
    try:
        file = orjson.loads(raw)
        if file["format"] != FORMAT:
            raise Unreadable("This is no backup of credentials.")
        key = vault.unwrap(file["master_key"], _bytes(file["wrapped"]), f"backup|{file['uid']}")
        found: list[dict[str, Any]] = orjson.loads(
            vault.unseal(key, _bytes(file["sealed"]), _context(file["uid"]))
        )
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise Unreadable("This is no backup of credentials.") from error
    except vault.Sealed as error:
        raise Unreadable(f"The backup does not open: {error}.") from error
    return found


def _restore(company: Company, told: dict[str, Any], replace: bool, outcome: Outcome) -> None:
    row, made = AICredentials.objects.unscoped().get_or_create(company=company)
    if made or replace:
        deleted_at = clock.now() if told["is_deleted"] else None
        AICredentials.objects.of(company.pk).update(**told["settings"], deleted_at=deleted_at)
    if told["data_key"] is None:
        return
    context = tenancy.context_of(told["number"])
    for key in told["keys"]:
        name = f"{company.slug} {key['provider']}"
        if SealedKey.objects.of(company.pk).filter(uid=key["uid"]).exists():
            outcome.known += 1
            continue
        try:
            data_key = vault.unwrap(told["master_key"], _bytes(told["data_key"]), context)
            plain = _plain(key, told["number"], data_key)
        except vault.Sealed:
            outcome.unopened.append(name)
            continue
        present = selectors.live_keys(company.pk).get(key["provider"])
        if key["retired_at"] is None and present is not None:
            if not replace:
                outcome.in_use.append(name)
                continue
            SealedKey.objects.of(company.pk).filter(pk=present.pk).update(retired_at=clock.now())
        _insert(row, key, plain)
        outcome.restored += 1


def _plain(key: dict[str, Any], number: int, data_key: bytes) -> str:
    stored = SealedKey(company_id=number, uid=uuid.UUID(key["uid"]), provider=key["provider"])
    return vault.unseal(data_key, _bytes(key["sealed"]), stored.context(key["base_url"]))


def _insert(row: AICredentials, told: dict[str, Any], plain: str) -> None:
    base_url = selectors.base_url_of(told["provider"])
    fresh = SealedKey.seal(row, told["provider"], plain, base_url, uid=uuid.UUID(told["uid"]))
    for name in DATES:
        setattr(fresh, name, datetime.fromisoformat(told[name]) if told[name] else None)
    for name in ("created_by", "retired_by"):
        setattr(fresh, name, User.objects.filter(username=told[name]).first() if told[name] else None)
    fresh.save(force_insert=True)


def _context(uid: str) -> str:
    return f"{FORMAT}|{uid}"


def _text(raw: Any) -> str:
    return base64.b64encode(bytes(raw)).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
