"""A second factor where a password is traded for tokens: whoever has set one up (HUB_TOTP) says a code.

django-allauth is an application only where it is wanted, so its model is asked for by name.
"""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.conf import settings

from megahub.kernel.errors import InvalidOtp, OtpRequired, RateLimited
from megahub.tenancy import throttles
from megahub.tenancy.models import User

#: Of django-allauth's.
MODEL = "mfa.Authenticator"
#: How long an app's code is good: its own thirty seconds, and those before and after.
CODE_SECONDS = 90


def check(user: User, code: str) -> None:
    """A code of their app, or one of their recovery codes, each good once; nothing for who has neither.

    Tries are counted by person, wherever from. Raises OtpRequired, InvalidOtp, RateLimited.
    """
    known = _known(user)
    if not known:
        return
    if not code:
        raise OtpRequired
    name = counted_as(user)
    throttles.guess(name)
    if not (found := next((each for each in known if each.wrap().validate_code(code)), None)):
        raise InvalidOtp
    if not is_fresh(user, code):
        raise InvalidOtp
    throttles.guessed(name)
    found.record_usage()


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


def _known(user: User) -> list[Any]:
    """What codes are checked against, the app before the recovery codes."""
    if settings.HUB_TOTP == "off":
        return []
    rows = apps.get_model(MODEL).objects.filter(user=user)
    found = {row.type: row for row in rows}
    # Recovery codes alone are left over from a second factor that was put down.
    return [found[kind] for kind in ("totp", "recovery_codes") if kind in found] if "totp" in found else []
