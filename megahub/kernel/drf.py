"""Django REST framework in the hub's words: parser, renderer, and one handler for every exception."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist, PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from rest_framework import exceptions, parsers, renderers

from megahub.kernel import body, errors
from megahub.kernel.errors import HubError
from megahub.kernel.requests import API_PREFIXES, error_response, unexpected

#: DRF's exceptions without facts of their own.
PLAIN: dict[type[Exception], type[HubError]] = {
    exceptions.NotAuthenticated: errors.NotAuthenticated,
    exceptions.AuthenticationFailed: errors.InvalidToken,
    exceptions.PermissionDenied: errors.Forbidden,
    exceptions.NotFound: errors.NotFound,
    exceptions.NotAcceptable: errors.NotAcceptable,
    exceptions.UnsupportedMediaType: errors.UnsupportedMediaType,
    PermissionDenied: errors.Forbidden,
    Http404: errors.NotFound,
    ObjectDoesNotExist: errors.NotFound,
}


class JsonParser(parsers.JSONParser):
    """Strict JSON with the same limits as the hot lane's."""

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> dict[str, Any]:
        raw = stream.read(settings.HUB_MAX_BODY_BYTES + 1)
        if len(raw) > settings.HUB_MAX_BODY_BYTES:
            raise errors.BodyTooLarge(limit_bytes=settings.HUB_MAX_BODY_BYTES)
        return body.loads(raw)  # type: ignore[no-any-return]


class JsonRenderer(renderers.JSONRenderer):
    """JSON by orjson; a Decimal is written as a string, never as a float."""

    def render(self, data: Any, accepted_media_type: Any = None, renderer_context: Any = None) -> bytes:
        return b"" if data is None else body.dumps(data, default=str)


def handle_exception(error: Exception, context: dict[str, Any]) -> HttpResponse:
    """DRF's EXCEPTION_HANDLER."""
    request = context["request"]._request
    known = normalise(error)
    return unexpected(request, error) if known is None else error_response(request, known)


def normalise(error: Exception) -> HubError | None:
    """The HubError that says what ``error`` says; None for an unanticipated one."""
    if isinstance(error, HubError):
        return error
    if isinstance(error, exceptions.ValidationError):
        return _validation(error)
    if isinstance(error, exceptions.MethodNotAllowed):
        return errors.MethodNotAllowed(words={"method": str(error.detail).split('"')[1]})
    if isinstance(error, exceptions.Throttled):
        return errors.RateLimited(retry_after=getattr(error, "wait", None))
    if isinstance(error, exceptions.ParseError):
        return errors.MalformedBody(words={"reason": str(error.detail)})
    for kind, ours in PLAIN.items():
        if isinstance(error, kind):
            return ours()
    return None


def _validation(error: exceptions.ValidationError) -> HubError:
    detail = error.detail
    if isinstance(detail, list):
        return errors.ValidationFailed(str(detail[0]))
    found = _flatten(detail)
    return errors.ValidationFailed(field_errors=found, param=next(iter(found), None))


def _flatten(detail: Any, path: str = "") -> dict[str, list[str]]:
    """Nested serializer errors as ``{"a.b.0": [messages]}``."""
    if isinstance(detail, dict):
        items = [(str(key), value) for key, value in detail.items()]
    elif detail and all(isinstance(item, dict) for item in detail):
        items = [(str(number), value) for number, value in enumerate(detail)]
    else:
        texts = detail if isinstance(detail, list) else [detail]
        return {path or "non_field_errors": [str(text) for text in texts]}
    found: dict[str, list[str]] = {}
    for key, value in items:
        if value:
            found |= _flatten(value, f"{path}.{key}" if path else key)
    return found


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """handler404: the words of the surface under the API's paths, a line of text elsewhere."""
    if request.path.startswith(API_PREFIXES):
        return error_response(request, errors.NotFound())
    return HttpResponse("Not found.", status=404, content_type="text/plain; charset=utf-8")


def server_error(request: HttpRequest) -> HttpResponse:
    """handler500: Django has logged the traceback; the answer tells nothing of it."""
    return error_response(request, errors.ServerError())
