"""One's own second factor by REST: set up with an app, confirmed, its recovery codes, put down again.

What is begun is kept by who began it, signed: a secret that was never confirmed leaves nothing behind.
Passwords and codes are looked at before any transaction: what counts the tries must not be undone with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret, validate_totp_code
from django.conf import settings
from django.core import signing

from megahub.kernel import trail
from megahub.kernel.errors import Conflict, ValidationFailed
from megahub.kernel.text import Text
from megahub.tenancy import second_factors, services, throttles
from megahub.tenancy.models import User

SETUP_SECONDS = 600
SALT = "megahub.second_factor"


@dataclass(frozen=True, slots=True)
class Begun:
    """For the app: its secret, and the same as what a QR code says; ``setup`` goes back with a code."""

    setup: str
    secret: str
    url: str


def state(user: User) -> dict[str, Any]:
    """Whether it is on, since when, when it was last used, and how many recovery codes are left."""
    found = second_factors.of(user.pk) if settings.HUB_TOTP != "off" else {}
    app, codes = found.get("totp"), found.get("recovery_codes")
    return {
        "policy": settings.HUB_TOTP,
        "is_required": second_factors.is_required(user),
        "is_on": app is not None,
        "created_at": app and app.created_at,
        "last_used_at": max((row.last_used_at for row in found.values() if row.last_used_at), default=None),
        "recovery_codes_left": len(codes.wrap().get_unused_codes()) if codes else None,
    }


def begin(user: User, password: str) -> Begun:
    """Raises Conflict where there is one already, or none are taken; ValidationFailed, RateLimited."""
    _may_begin(user)
    _prove(user, password)
    secret = generate_totp_secret()
    setup = signing.dumps({"user": user.pk, "secret": secret}, salt=SALT)
    return Begun(setup, secret, get_adapter().build_totp_url(user, secret))


def confirm(user: User, setup: str, code: str, origin: trail.Origin) -> tuple[str, str, list[str]]:
    """From now on codes are asked for: a fresh sign-in (access, refresh) and the recovery codes.

    Every sign-in of before ends: a password alone had been enough for it. Raises as ``begin``.
    """
    secret, name = _secret(user, setup), second_factors.counted_as(user)
    throttles.guess(name)
    if not validate_totp_code(secret, code) or not second_factors.is_fresh(user, code):
        raise _wrong("code", Text("This is not the code that an app shows now for this secret."))
    with trail.change(origin, "second_factor.add", user):
        User.objects.select_for_update().get(pk=user.pk)
        _may_begin(user)
        Authenticator.objects.filter(user_id=user.pk).delete()  # recovery codes of one that was put down
        TOTP.activate(user, secret)
        codes = list(RecoveryCodes.activate(user).get_unused_codes())
        services.end_sign_ins(user.pk)
        access, refresh = services.begin(user)
    throttles.guessed(name)
    return access, refresh, codes


def renew_codes(user: User, password: str, otp: str, origin: trail.Origin) -> list[str]:
    """Ten new recovery codes; those of before are good for nothing. Raises as ``begin``."""
    _prove(user, password, otp)
    with trail.change(origin, "second_factor.renew_codes", user):
        User.objects.select_for_update().get(pk=user.pk)
        rows = Authenticator.objects.filter(user_id=user.pk, type=Authenticator.Type.RECOVERY_CODES)
        rows.delete()
        return list(RecoveryCodes.activate(user).get_unused_codes())


def remove(user: User, password: str, otp: str, origin: trail.Origin) -> None:
    """A password is enough again. Raises as ``begin``; Conflict for staff that must have one."""
    if second_factors.is_required(user):
        raise Conflict(
            "Staff of this hub needs a second factor: change it at {where}.",
            words={"where": second_factors.set_up_at()},
        )
    _prove(user, password, otp)
    with trail.change(origin, "second_factor.remove", user):
        Authenticator.objects.filter(user_id=user.pk).delete()


def _may_begin(user: User) -> None:
    if settings.HUB_TOTP == "off":
        raise Conflict("This hub takes no second factors (HUB_TOTP is off).")
    if second_factors.is_on(user.pk):
        raise Conflict("A second factor is set up already: remove it first.")


def _prove(user: User, password: str, code: str | None = None) -> None:
    if not second_factors.knows_password(user, password):
        raise _wrong("password", Text("This is not your password."))
    if code is None:
        return
    if not second_factors.is_on(user.pk):
        raise Conflict("No second factor is set up.")
    if not second_factors.takes(user, code):
        raise _wrong("otp", Text("This code is not valid, or was used already."))


def _secret(user: User, setup: str) -> str:
    try:
        begun = signing.loads(setup, salt=SALT, max_age=SETUP_SECONDS)
    except signing.BadSignature:
        begun = {}
    if begun.get("user") != user.pk:
        raise _wrong("setup", Text("This setup is not valid, or is older than ten minutes: begin anew."))
    return str(begun["secret"])


def _wrong(field: str, message: Text) -> ValidationFailed:
    return ValidationFailed(field_errors={field: [message]}, param=field)
