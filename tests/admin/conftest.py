"""The admin as its people meet it: Django's test client, signed in."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from megahub.tenancy.models import User
from tests.each import one_of_each  # noqa: F401 - a fixture
from tests.world import RUN

REASON = "because a test wants it"


class Browser(Client):
    """Somebody who gives a reason for whatever they change, unless they give another (or "")."""

    def post(self, path: str, data: Any = None, *args: Any, **kwargs: Any) -> Any:
        return super().post(path, {"audit_reason": REASON, **(data or {})}, *args, **kwargs)


_numbers = itertools.count(1)


@pytest.fixture
def root(sandbox_url: str) -> Client:
    """A superuser's browser."""
    client = Browser()
    client.force_login(
        User.objects.create_superuser(f"root-{RUN}-{next(_numbers)}", password="correct horse")
    )
    return client


@pytest.fixture
def staff(sandbox_url: str) -> Callable[..., Client]:
    """The browser of somebody with a few permissions (codenames) in the admin."""

    def signed_in(*codenames: str) -> Client:
        user = User.objects.create_user(f"staff-{RUN}-{next(_numbers)}", password="correct horse")
        user.is_staff = True
        user.save()
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        client = Browser()
        client.force_login(user)
        return client

    return signed_in
