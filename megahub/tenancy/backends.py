"""Signing in to the admin: Django's own, throttled like ``/auth/token/``."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from megahub.kernel.errors import RateLimited
from megahub.tenancy import throttles
from megahub.tenancy.models import User


class ThrottledBackend(ModelBackend):
    """With a request it counts tries; without one (``services.sign_in``) its caller has done so."""

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **kwargs: Any,
    ) -> User | None:
        address = request.META.get("REMOTE_ADDR", "") if request is not None else ""
        if request is not None and username is not None:
            try:
                throttles.sign_in(username, address)
            except RateLimited as error:
                raise PermissionDenied from error  # told like a wrong password
        user: Any = super().authenticate(request, username, password, **kwargs)
        if user is not None and request is not None:
            throttles.signed_in(str(username), address)
        return user
