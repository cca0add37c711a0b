"""The two kinds of credential a caller may carry: JWTs of a sign-in, and API keys.

An access token names its sign-in and the user's token version, so that signing out, a password
change or disabling the user ends it (within HUB_IDENTITY_TTL_SECONDS). A refresh token is good for
one use; using it again after the grace revokes its whole family.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import string
import uuid
from dataclasses import dataclass
from typing import Any

from rest_framework_simplejwt.exceptions import ExpiredTokenError, TokenError
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken, Token

from megahub.kernel.errors import InvalidToken, TokenExpired

API_KEY = re.compile(r"mh_([a-z0-9]{10})_[A-Za-z0-9]{40}")
JWT = re.compile(r"[A-Za-z0-9_-]{1,600}\.[A-Za-z0-9_-]{1,1200}\.[A-Za-z0-9_-]{1,200}")
ALPHANUMERIC = string.ascii_letters + string.digits


@dataclass(frozen=True)
class Claims:
    """What an access or refresh token says."""

    user_id: int
    sign_in: str
    version: int


def issue(user_id: int, sign_in: str, version: int) -> tuple[str, str]:
    """A fresh (access, refresh) pair of one sign-in."""
    pair = (AccessToken(), RefreshToken())
    for token in pair:
        token["user_id"] = user_id
        token["sid"] = sign_in
        token["ver"] = version
    return str(pair[0]), str(pair[1])


def read_access(raw: str) -> Claims:
    """The claims of a valid access token. Raises InvalidToken or TokenExpired."""
    return _read(AccessToken, raw)


def read_refresh(raw: str) -> Claims:
    """The claims of a valid refresh token. Raises InvalidToken or TokenExpired."""
    return _read(RefreshToken, raw)


def _read(kind: type[Token], raw: str) -> Claims:
    if not JWT.fullmatch(raw):
        raise InvalidToken
    try:
        payload: dict[str, Any] = kind(raw).payload  # type: ignore[arg-type]
        user_id, sign_in = int(payload["user_id"]), str(uuid.UUID(str(payload["sid"])))
        return Claims(user_id, sign_in, int(payload["ver"]))
    except ExpiredTokenError as error:
        raise TokenExpired from error
    except (TokenError, KeyError, TypeError, ValueError) as error:
        raise InvalidToken from error


def new_api_key() -> tuple[str, str, str]:
    """A fresh key: (the key itself, to be shown once; its public id; its digest, to be stored)."""
    public_id = "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(10))
    key = f"mh_{public_id}_" + "".join(secrets.choice(ALPHANUMERIC) for _ in range(40))
    return key, public_id, digest(key)


def api_key_id(raw: str) -> str | None:
    """The public id of something that has the form of an API key, else None."""
    found = API_KEY.fullmatch(raw)
    return found.group(1) if found else None


def digest(token: str) -> str:
    """SHA-256 of the whole token: what is stored, and what caches are keyed by."""
    return hashlib.sha256(token.encode()).hexdigest()
