"""Whose rows the admin shows: everybody's, to signed-in staff within their permissions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from megahub.kernel import scope


class BeforeViews:
    """Middleware that has a ``process_view``, and nothing to do with answers."""

    async_capable = True
    sync_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        return self.get_response(request)


class StaffMiddleware(BeforeViews):
    """Behind Django's authentication: it knows who is signed in."""

    def process_view(self, request: HttpRequest, *_: Any) -> HttpResponse | None:
        """Before the view, in its context."""
        user: Any = getattr(request, "user", None)
        if request.path.startswith(reverse("admin:index")) and user.is_active and user.is_staff:
            scope.enter_everybody()
        return None
