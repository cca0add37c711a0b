"""What belongs to every request, on both lanes: an id, the surface, the language, the error answer."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.core.exceptions import SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponsePermanentRedirect
from django.middleware.common import CommonMiddleware
from django.utils import translation
from django.utils.translation import gettext

from megahub.kernel import body, scope, surfaces
from megahub.kernel.errors import BadRequest, DatabaseUnavailable, HubError, ServerError
from megahub.kernel.text import said

log = logging.getLogger("megahub.requests")

R = TypeVar("R", bound=HttpResponseBase)
REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
API_PREFIXES = ("/ai/", "/auth/", "/v1/", "/api/")


def request_id(request: HttpRequest) -> str:
    """The request's id: the client's own ``X-Request-ID`` when it is plain, else a new one."""
    found: str | None = getattr(request, "hub_request_id", None)
    if found is None:
        offered = request.META.get("HTTP_X_REQUEST_ID", "")
        found = offered if REQUEST_ID.fullmatch(offered) else f"req_{secrets.token_hex(8)}"
        request.hub_request_id = found  # type: ignore[attr-defined]
    return found


def language(request: HttpRequest) -> str:
    """``en`` or ``fr`` by Accept-Language."""
    if "HTTP_ACCEPT_LANGUAGE" not in request.META:
        return "en"
    return translation.get_language_from_request(request)


def error_body(request: HttpRequest, error: HubError) -> dict[str, Any]:
    """The error in the words of the path's surface and in the request's language."""
    with translation.override(language(request)):
        return surfaces.for_path(request.path)(error, gettext, request_id(request))


def say(request: HttpRequest, text: str) -> str:
    """A ``Text`` in the request's language; any other string as it is."""
    with translation.override(language(request)):
        return said(text, gettext)


def error_response(request: HttpRequest, error: HubError) -> HttpResponse:
    """``error_body`` as an answer with the error's status and headers."""
    response = json_response(error_body(request, error), error.status)
    return with_headers(response, surfaces.headers(error))


def json_response(content: Any, status: int = 200) -> HttpResponse:
    """A JSON answer from anything ``orjson`` can write, or from ready bytes."""
    raw = content if isinstance(content, bytes) else body.dumps(content)
    return HttpResponse(raw, status=status, content_type="application/json")


def with_headers(response: R, headers: Mapping[str, str]) -> R:
    """The answer with more headers."""
    for name, value in headers.items():
        response[name] = value
    return response


def unexpected(request: HttpRequest, error: Exception) -> HttpResponse:
    """Log an unanticipated error with its traceback; answer 500 without a word of the inside.

    What Django refuses of a request (too many fields, say) is its client's mistake: a 400. A database
    that does not answer is a 503 and a line: a thousand callers meet it at once.
    """
    if isinstance(error, SuspiciousOperation):
        return error_response(request, BadRequest())
    if isinstance(error, OperationalError | InterfaceError):
        log.warning("no database at %s %s: %s", request.method, request.path, error)
        return error_response(request, DatabaseUnavailable(retry_after=2))
    log.exception("unhandled error at %s %s", request.method, request.path, exc_info=error)
    return error_response(request, ServerError())


def _measure(request: HttpRequest) -> None:
    """Say how long a body is that came in pieces: DRF takes one without a length for none."""
    if "HTTP_TRANSFER_ENCODING" in request.META and not request.META.get("CONTENT_LENGTH"):
        request.META["CONTENT_LENGTH"] = str(len(request.body))


class Moved(HttpResponsePermanentRedirect):
    """A redirect that keeps the method and the body: after a 301 a POST would come back as a GET."""

    status_code = 308


class SlashMiddleware(CommonMiddleware):
    """Sends a path without its last slash to the one with it. The hot lane takes both."""

    response_redirect_class = Moved


class RequestMiddleware:
    """Gives ordinary requests their id header and API paths their error bodies (404 included)."""

    async_capable = True
    sync_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        _measure(request)
        if iscoroutinefunction(self):
            return self._acall(request)
        with scope.kept():  # a thread serves one request after another
            return self._finish(request, self.get_response(request))

    async def _acall(self, request: HttpRequest) -> HttpResponse:
        return self._finish(request, await self.get_response(request))

    @staticmethod
    def _finish(request: HttpRequest, response: HttpResponse) -> HttpResponse:
        response["X-Request-ID"] = request_id(request)
        return response

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Errors of plain Django views under the API's paths (DRF has its own handler)."""
        if isinstance(error, HubError):
            return error_response(request, error)
        if request.path.startswith(API_PREFIXES):
            return unexpected(request, error)
        return None
