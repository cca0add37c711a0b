"""From the request's headers to its ``Caller``, for DRF views and for fast views alike.

``Authorization: Bearer <access JWT | API key>`` or ``Token <API key>``; ``X-Brand-ID`` names the brand.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from functools import wraps
from typing import Any, cast

from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponseBase
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from megahub.kernel import body, connection, scope
from megahub.kernel.errors import (
    HubError,
    InvalidToken,
    MethodNotAllowed,
    NotAuthenticated,
    TokenExpired,
)
from megahub.kernel.requests import error_body, error_response, unexpected
from megahub.tenancy.selectors import Caller, acaller_for, caller_for

log = logging.getLogger(__name__)

#: No id is longer; callers are remembered by it.
MAX_BRAND = 40

AsyncView = Callable[..., Awaitable[HttpResponseBase]]
#: Django's ``path`` knows no types of async views.
FastView = Callable[..., Any]


def token_of(request: HttpRequest) -> str:
    """The token of the Authorization header. Raises NotAuthenticated or InvalidToken."""
    header = request.META.get("HTTP_AUTHORIZATION", "")
    if not header:
        raise NotAuthenticated
    scheme, _, token = header.partition(" ")
    if scheme.lower() not in {"bearer", "token"} or not token.isascii():
        raise InvalidToken("Send the token as 'Authorization: Bearer <token>'.")
    return token.strip()


def brand_of(request: HttpRequest) -> str | None:
    """The X-Brand-ID header, None when absent or empty; as much of it as an id could have."""
    return request.META.get("HTTP_X_BRAND_ID", "").strip()[:MAX_BRAND] or None


def caller_of(request: Request) -> Caller:
    """The Caller of an authenticated DRF request."""
    return cast(Caller, request.user)


class HubAuthentication(BaseAuthentication):
    """DRF's way in: ``request.user`` is the Caller."""

    def authenticate(self, request: Request) -> tuple[Caller, None]:
        caller = caller_for(token_of(request._request), brand_of(request._request))
        scope.enter(caller.company_id)
        return caller, None

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="megahub"'


class HasScope(BasePermission):
    """A view names its scopes by method: ``scopes = {"GET": "jobs:read", …}``."""

    def has_permission(self, request: Request, view: Any) -> bool:
        scopes: dict[str, str] = getattr(view, "scopes", {})
        needed = scopes.get("GET" if request.method in {"HEAD", "OPTIONS"} else str(request.method))
        if needed is not None:
            caller_of(request).require(needed)
        return True


def for_caller(**scopes: str | None) -> Callable[[AsyncView], FastView]:
    """A fast view ``(request, caller, …)`` for these methods, each with the scope it needs (or None).

    ``@for_caller(GET=None, POST="inference")``. Errors are rendered by the path's surface, on
    the hot lane and on Django's ordinary handler alike.
    """

    def wrap(view: AsyncView) -> FastView:
        @wraps(view)
        async def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            try:
                if request.method is None or request.method not in scopes:
                    raise MethodNotAllowed(words={"method": request.method})
                caller = await acaller_for(token_of(request), brand_of(request))
                scope.enter(caller.company_id)
                needed = scopes[request.method]
                if needed is not None:
                    caller.require(needed)
                response = await view(request, caller, *args, **kwargs)
                return _watched(request, response, needed) if response.streaming else response
            except HubError as error:
                return error_response(request, error)
            except Exception as error:  # noqa: BLE001 - logged with its traceback, answered as a 500
                return unexpected(request, error)

        guarded.fast_methods = frozenset(scopes)  # type: ignore[attr-defined]
        guarded.csrf_exempt = True  # type: ignore[attr-defined]
        return guarded

    return wrap


def _watched(request: HttpRequest, response: Any, needed: str | None) -> HttpResponseBase:
    """An event stream that ends when its caller's rights do: an open one is a right, too."""
    if response.get("Content-Type", "").startswith("text/event-stream"):
        response.streaming_content = _while_allowed(request, response._iterator, needed)
    return cast(HttpResponseBase, response)


async def _while_allowed(
    request: HttpRequest, events: AsyncGenerator[bytes], needed: str | None
) -> AsyncGenerator[bytes]:
    """The events, until their caller is refused; in a silence there are heartbeats to look after."""
    looked = time.monotonic()
    async with aclosing(events) as opened:
        async for event in opened:
            yield event
            if time.monotonic() - looked < settings.HUB_STREAM_LOOK_SECONDS:
                continue
            looked = time.monotonic()
            if (refusal := await _refusal(request, needed)) is not None:
                yield b"data: " + body.dumps(error_body(request, refusal)) + b"\n\n"
                connection.let_go()
                return


async def _refusal(request: HttpRequest, needed: str | None) -> HubError | None:
    """What the caller would be refused with by now. A token may expire while its answer is being said."""
    try:
        caller = await acaller_for(token_of(request), brand_of(request))
        if needed is not None:
            caller.require(needed)
    except TokenExpired:
        return None
    except HubError as error:
        return error
    except DatabaseError as error:  # who cannot be asked about was not revoked
        log.warning("a stream's caller could not be looked up: %s", error)
    return None
