"""A second factor where a password is traded for tokens (HUB_TOTP): whoever has one says a code.

``required`` means staff: without one a password opens nothing, here as little as in the admin, and tokens
of before are good for nothing. API keys are secrets of their own, made by somebody who had signed in: where
no password is asked for, no code is.
"""

from __future__ import annotations

from typing import Any

from allauth.mfa.models import Authenticator
from django.conf import settings

from megahub.kernel.errors import Forbidden, InvalidOtp, OtpRequired, RateLimited
from megahub.tenancy import throttles
from megahub.tenancy.models import User

#: How long an app's code is good: its own thirty seconds, and those before and after.
CODE_SECONDS = 90
#: Where the admin's pages set one up; without HUB_TOTP there are none.
SET_UP_PATH = "/accounts/2fa/totp/activate/"


class SecondFactorMissing(Forbidden):
    """Facts: ``set_up_at``, the page where staff sets one up."""

    code = "SECOND_FACTOR_MISSING"
    message = (
        "Staff of this hub needs a second factor. Set one up at {set_up_at}, then sign in with 'otp',"
        " a code of the app."
    )


def check(user: User, code: str) -> None:
    """A code of their app, or one of their recovery codes, each good once; nothing for who has neither.

    Raises OtpRequired, InvalidOtp, SecondFactorMissing, RateLimited.
    """
    if not is_on(user.pk):
        require(user)
        return
    if not code:
        raise OtpRequired
    if not takes(user, code):
        raise InvalidOtp


def require(user: User) -> None:
    """Raises SecondFactorMissing for staff without one, where HUB_TOTP asks it of them."""
    if is_required(user) and not is_on(user.pk):
        raise SecondFactorMissing(set_up_at=set_up_at())


def set_up_at() -> str:
    """The address of the page where staff sets one up."""
    return f"{settings.HUB_PUBLIC_URL}{SET_UP_PATH}"


def is_required(user: User) -> bool:
    return bool(settings.HUB_TOTP == "required" and user.is_staff)


def is_on(user_id: int) -> bool:
    """Whether codes are asked of somebody."""
    rows = Authenticator.objects.filter(user_id=user_id, type=Authenticator.Type.TOTP)
    return settings.HUB_TOTP != "off" and bool(rows.exists())


def of(user_id: int) -> dict[str, Any]:
    """What codes are checked against by its kind, the app before the recovery codes.

    Recovery codes alone are left over from a second factor that was put down: they are none.
    """
    found = {row.type: row for row in Authenticator.objects.filter(user_id=user_id)}
    return {kind: found[kind] for kind in ("totp", "recovery_codes") if kind in found and "totp" in found}


def takes(user: User, code: str) -> bool:
    """Whether a code is theirs and was not used yet; tries are counted by person. Raises RateLimited."""
    name = counted_as(user)
    throttles.guess(name)
    rows = of(user.pk).values()
    found = next((each for each in rows if each.wrap().validate_code(code)), None)
    if found is None or not is_fresh(user, code):
        return False
    throttles.guessed(name)
    found.record_usage()
    return True


def counted_as(user: User) -> str:
    """Under what tries of codes are counted, here and in the admin."""
    return f"code of {user.pk}"


def is_fresh(user: User, code: str) -> bool:
    """Whether no process has taken this code of theirs before; from now on one has."""
    try:
        throttles.once(f"{counted_as(user)}: {''.join(code.split())}", CODE_SECONDS)
    except RateLimited:
        return False
    return True


def knows_password(user: User, password: str) -> bool:
    """Asked once more before a second factor changes; counted: an open session is no place to guess from.

    Raises RateLimited.
    """
    name = f"again {user.pk}"
    throttles.guess(name)
    if not user.check_password(password):
        return False
    throttles.guessed(name)
    return True
