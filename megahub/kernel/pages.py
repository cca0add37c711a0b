"""What browsers are told about our pages: what may run in them, and who may look.

An answer without a page gets the shortest policy: nothing runs, nobody frames it. A page runs our own
files and the inline blocks that carry the request's nonce (``{{ csp_nonce }}`` in a template). The admin
is laxer in one word: its widgets carry style attributes.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

NO_PAGE = "default-src 'none'; frame-ancestors 'none'"
PAGE = (
    "default-src 'none'; script-src 'self' 'nonce-{nonce}'; style-src 'self' {style};"
    " img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self';"
    " form-action 'self'{forms}; base-uri 'none'; frame-ancestors 'none'"
)
PERMISSIONS = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"
HEADERS = {
    "Permissions-Policy": PERMISSIONS,
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class PagesMiddleware:
    """The outermost: what other middleware answers with gets its headers, too."""

    async_capable = True
    sync_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        if iscoroutinefunction(self):
            return self._acall(request)
        return told(request, self.get_response(request))

    async def _acall(self, request: HttpRequest) -> HttpResponse:
        return told(request, await self.get_response(request))


def told(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """The answer with its headers; of those a view may have set its own policy only."""
    for name, value in HEADERS.items():
        response[name] = value
    response.setdefault("Content-Security-Policy", policy(request, response))
    return response


def policy(request: HttpRequest, response: HttpResponse) -> str:
    """The Content-Security-Policy of an answer."""
    if not response.get("Content-Type", "").startswith("text/html"):
        return NO_PAGE
    nonce, forms = nonce_of(request), settings.HUB_OIDC_ORIGIN and f" {settings.HUB_OIDC_ORIGIN}"
    if request.path.startswith(reverse("admin:index")):
        return PAGE.format(nonce=nonce, style="'unsafe-inline'", forms=forms)
    return PAGE.format(nonce=nonce, style=f"'nonce-{nonce}'", forms=forms)


def nonce_of(request: HttpRequest) -> str:
    """The request's own nonce, made when first asked for."""
    shared: Any = getattr(request, "_request", request)  # of DRF's, the one that everybody has
    found: str | None = getattr(shared, "hub_nonce", None)
    if found is None:
        found = shared.hub_nonce = secrets.token_urlsafe(16)
    return found


def nonce(request: HttpRequest) -> dict[str, str]:
    """A context processor: ``csp_nonce``."""
    return {"csp_nonce": nonce_of(request)}
