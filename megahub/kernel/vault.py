"""Encryption of stored secrets: AES-256-GCM under a data key per company, wrapped by a master key.

The master keys live outside the database (``AI_ENCRYPTION_KEY``); every ciphertext is bound by its
associated data to table, company, row and field, so that a swapped row does not decrypt. Rotation
re-wraps the data keys only. Source: reference/reliability.md, section 5, items 10 and 11.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

KEY_BYTES = 32
NONCE_BYTES = 12


class Sealed(Exception):
    """A secret that does not open: wrong key, wrong place or tampered with. Tells nothing more."""


@dataclass(frozen=True, repr=False)
class MasterKey:
    """One key of ``AI_ENCRYPTION_KEY``: its id stands beside whatever it wrapped."""

    id: str
    key: bytes


def master_keys() -> list[MasterKey]:
    """The configured keys, the sealing one first. Raises ImproperlyConfigured, never echoing a key."""
    found: list[MasterKey] = []
    for number, part in enumerate(filter(None, settings.AI_ENCRYPTION_KEY.split(",")), start=1):
        key_id, colon, encoded = part.strip().partition(":")
        try:
            key = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            key = b""
        if not colon or not key_id or len(key) != KEY_BYTES:
            raise ImproperlyConfigured(
                f"AI_ENCRYPTION_KEY: part {number} is not 'id:base64 of {KEY_BYTES} bytes'."
                " Make one with `manage.py make_master_key`."
            )
        if any(key_id == earlier.id for earlier in found):
            # Rotation would take the old key's work for the new one's, and leave it behind.
            raise ImproperlyConfigured(f"AI_ENCRYPTION_KEY: part {number} has the id of an earlier part.")
        found.append(MasterKey(key_id, key))
    if not found:
        raise ImproperlyConfigured(
            "AI_ENCRYPTION_KEY is not set. Make one with `manage.py make_master_key`."
        )
    return found


def new_master_key(key_id: str) -> str:
    """A fresh ``id:base64`` for AI_ENCRYPTION_KEY."""
    return f"{key_id}:{base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()}"


def new_data_key(context: str) -> tuple[str, bytes]:
    """A fresh data key: (master key id, wrapped bytes bound to ``context``)."""
    return wrap(secrets.token_bytes(KEY_BYTES), context)


def wrap(data_key: bytes, context: str) -> tuple[str, bytes]:
    """Wrap a data key under the first master key."""
    master = master_keys()[0]
    return master.id, _encrypt(master.key, data_key, f"data-key|{context}")


def unwrap(master_id: str, wrapped: bytes, context: str) -> bytes:
    """The data key. Raises Sealed when its master key is not configured or it was tampered with."""
    for master in master_keys():
        if master.id == master_id:
            return _decrypt(master.key, wrapped, f"data-key|{context}")
    raise Sealed(f"master key {master_id!r} is not configured")


def seal(data_key: bytes, secret: str, context: str) -> bytes:
    """Encrypt ``secret``; ``context`` is ``table|company|row|field``."""
    return _encrypt(data_key, secret.encode(), context)


def unseal(data_key: bytes, sealed: bytes, context: str) -> str:
    """The secret. Raises Sealed for another context or key."""
    return _decrypt(data_key, sealed, context).decode()


def seal_bytes(data_key: bytes, content: bytes, context: str) -> bytes:
    """Encrypt ``content``, bound to where it stands."""
    return _encrypt(data_key, content, context)


def unseal_bytes(data_key: bytes, sealed: bytes, context: str) -> bytes:
    """The content. Raises Sealed for another context or key."""
    return _decrypt(data_key, sealed, context)


def _bound_to(context: str) -> bytes:
    """What opens a seal beside its key: elsewhere it is none."""
    return f"v1|{context}".encode()


def _encrypt(key: bytes, plain: bytes, context: str) -> bytes:
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, _bound_to(context))


def _decrypt(key: bytes, sealed: bytes, context: str) -> bytes:
    nonce, cipher = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
    try:
        return AESGCM(key).decrypt(nonce, cipher, _bound_to(context))
    except (InvalidTag, ValueError) as error:  # ValueError: too short to be a nonce, or no key at all
        raise Sealed("a stored secret does not open here") from error
