"""Signing in and out, rotating tokens, making and revoking API keys."""

from __future__ import annotations

import uuid
from datetime import timedelta

from django.contrib.auth import authenticate
from django.db import transaction
from rest_framework_simplejwt.settings import api_settings

from megahub.kernel import clock, vault
from megahub.kernel.errors import InvalidCredentials, InvalidToken, NotFound, TokenRevoked, ValidationFailed
from megahub.kernel.text import Text
from megahub.tenancy import second_factors, tokens
from megahub.tenancy.models import ApiKey, CompanyKey, RefreshToken, SignIn, User
from megahub.tenancy.selectors import Caller, forget_callers

#: Two tabs may refresh at once: the loser of that race is refused, but its family lives on.
REUSE_GRACE = timedelta(seconds=10)


def sign_in(username: str, password: str, otp: str = "") -> tuple[str, str]:
    """A new (access, refresh) pair. Raises what ``known`` raises."""
    return begin(known(username, password, otp))


def known(username: str, password: str, otp: str) -> User:
    """Who that is. Raises InvalidCredentials (a wrong name and a wrong password alike), or for their code
    OtpRequired, InvalidOtp, SecondFactorMissing, RateLimited.
    """
    user = authenticate(username=username, password=password)
    if not isinstance(user, User):
        raise InvalidCredentials
    second_factors.check(user, otp)
    return user


def begin(user: User) -> tuple[str, str]:
    """A new sign-in of somebody who is known."""
    with transaction.atomic():
        return _issue(SignIn.objects.create(user=user), user)


def refresh(raw: str) -> tuple[str, str]:
    """Trade a refresh token for a new pair; each is good once.

    Raises InvalidToken, TokenExpired, or TokenRevoked: for a revoked sign-in, a changed password,
    and for a token that was used already (which revokes its family unless it was a close race);
    SecondFactorMissing.
    """
    claims = tokens.read_refresh(raw)
    with transaction.atomic():
        used = RefreshToken.objects.filter(digest=tokens.digest(raw), used_at=None)
        if used.update(used_at=clock.now()) == 1:
            return _issue(_live_sign_in(claims), User.objects.get(pk=claims.user_id))
    _punish_reuse(raw)
    raise TokenRevoked("This refresh token was used already.")


def revoke(raw: str) -> None:
    """End the sign-in that a refresh token belongs to. Raises InvalidToken or TokenExpired."""
    _end(tokens.read_refresh(raw).sign_in)


def forget_expired() -> int:
    """Delete refresh tokens that have expired, and sign-ins that have none left; how many tokens."""
    deleted, _ = RefreshToken.objects.filter(expires_at__lt=clock.now()).delete()
    SignIn.objects.filter(refresh_tokens=None).delete()
    return deleted


def _issue(session: SignIn, user: User) -> tuple[str, str]:
    access, fresh = tokens.issue(user.pk, str(session.pk), user.token_version)
    RefreshToken.objects.create(
        sign_in=session,
        digest=tokens.digest(fresh),
        expires_at=clock.now() + api_settings.REFRESH_TOKEN_LIFETIME,
    )
    return access, fresh


def _live_sign_in(claims: tokens.Claims) -> SignIn:
    session = SignIn.objects.select_related("user").filter(pk=uuid.UUID(claims.sign_in)).first()
    if session is None or not session.user.is_active:
        raise InvalidToken
    if session.revoked_at is not None or session.user.token_version != claims.version:
        raise TokenRevoked
    second_factors.require(session.user)
    return session


def _punish_reuse(raw: str) -> None:
    token = RefreshToken.objects.filter(digest=tokens.digest(raw)).first()
    if token is not None and token.used_at and token.used_at < clock.now() - REUSE_GRACE:
        _end(str(token.sign_in_id))


def _end(sign_in_id: str) -> None:
    SignIn.objects.filter(pk=uuid.UUID(sign_in_id), revoked_at=None).update(revoked_at=clock.now())
    forget_callers()


def end_sign_ins(user_id: int) -> None:
    """End all of a person's sign-ins, with the tokens that came of them."""
    SignIn.objects.filter(user=user_id, revoked_at=None).update(revoked_at=clock.now())
    transaction.on_commit(forget_callers)


def make_api_key(
    caller: Caller, name: str, scopes: list[str], brand_id: int | None, days: int | None
) -> tuple[ApiKey, str]:
    """A new API key of the caller's company: (row, the key itself, never to be seen again).

    ``days`` until it expires, None for never. What an API key makes is bound to its brand, and ends
    when it ends. Raises ValidationFailed for scopes beyond the caller's own.
    """
    beyond = sorted(set(scopes) - caller.scopes)
    if beyond:
        message = Text("Beyond your own scopes: {scopes}.", scopes=beyond)
        raise ValidationFailed(
            field_errors={"scopes": [message]}, param="scopes", suggestions=sorted(caller.scopes)
        )
    expires_at = clock.now() + timedelta(days=days) if days else None
    if caller.api_key_id is not None:
        maker = ApiKey.objects.of(caller.company_id).get(pk=caller.api_key_id)
        brand_id = brand_id or maker.brand_id
        expires_at = min(filter(None, (expires_at, maker.expires_at)), default=None)
    key, public_id, digest = tokens.new_api_key()
    row = ApiKey.objects.unscoped().create(
        company_id=caller.company_id,
        brand_id=brand_id,
        created_by_id=caller.user_id,
        name=name,
        public_id=public_id,
        digest=digest,
        scopes=sorted(scopes),
        expires_at=expires_at,
    )
    return row, key


def api_key_of(caller: Caller, key_id: int) -> ApiKey:
    """A key that the caller may revoke: their own, or any of those who manage credentials."""
    rows = ApiKey.objects.of(caller.company_id).filter(pk=key_id)
    if "credentials:manage" not in caller.scopes:
        rows = rows.filter(created_by=caller.user_id)
    row = rows.first()
    if row is None:
        raise NotFound
    return row


def revoke_api_key(caller: Caller, key_id: int) -> ApiKey:
    """Revoke a key. Raises NotFound for one that the caller may not revoke."""
    row = api_key_of(caller, key_id)
    if row.revoked_at is None:
        row.revoked_at = clock.now()
        row.save(update_fields=["revoked_at"])
    forget_callers()
    return row


def data_key(company_id: int) -> bytes:
    """The company's data key, made on first use. Raises vault.Sealed when it does not unwrap."""
    row = CompanyKey.objects.of(company_id).first()
    if row is None:
        master_id, wrapped = vault.new_data_key(context_of(company_id))
        row, _ = CompanyKey.objects.unscoped().get_or_create(
            company_id=company_id, defaults={"master_key_id": master_id, "wrapped": wrapped}
        )
    return vault.unwrap(row.master_key_id, bytes(row.wrapped), context_of(company_id))


def context_of(company_id: int) -> str:
    """What a company's wrapped data key is bound to."""
    return f"company|{company_id}"


def rewrap_data_keys() -> int:
    """Wrap every data key under the first master key again; how many were not yet."""
    current = vault.master_keys()[0].id
    rows = CompanyKey.objects.unscoped().exclude(master_key_id=current)
    for row in rows:
        context = context_of(row.company_id)
        plain = vault.unwrap(row.master_key_id, bytes(row.wrapped), context)
        row.master_key_id, row.wrapped = vault.wrap(plain, context)
        row.rewrapped_at = clock.now()
        row.save(update_fields=["master_key_id", "wrapped", "rewrapped_at"])
    return len(rows)
