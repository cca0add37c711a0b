"""Idempotency-Key on ordinary views: a POST is served once, and answered again from what it answered.

``class Keys(Idempotent, APIView)``: key, work and answer are one transaction, so that none of them
stands without the others, whatever dies. A refused request leaves nothing, its key included.
"""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from megahub.tenancy import idempotency
from megahub.tenancy.authentication import caller_of
from megahub.tenancy.idempotency import Kept
from megahub.tenancy.models import IdempotencyKey

#: The value of ``Idempotent.without`` for a POST that claims its key itself, where its job is accepted.
ITS_OWN = "its own"


class Replayed(Exception):
    """The answer was given before: nothing is to be done but to say it again."""

    def __init__(self, kept: Kept) -> None:
        super().__init__()
        self.kept = kept


class Idempotent(APIView):
    """A DRF view, or set of views, whose POSTs take an Idempotency-Key; to stand before the view's base."""

    #: Actions (``post`` of a plain view) that leave the header alone, each with the reason.
    without: ClassVar[dict[str, str]] = {}
    _row: IdempotencyKey | None = None
    _keyed = False

    @classmethod
    def takes_key(cls, action: str) -> bool:
        """Whether a POST, of this action or of a plain view, takes the header."""
        return action not in cls.without

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        named: dict[str, str] = getattr(self, "action_map", None) or {}
        leaves = named.get("post", "post") in self.without
        if request.method != "POST" or leaves or "HTTP_IDEMPOTENCY_KEY" not in request.META:
            return super().dispatch(request, *args, **kwargs)
        self._keyed = True
        with transaction.atomic():
            response = super().dispatch(request, *args, **kwargs)
            assert isinstance(response, HttpResponse)
            if isinstance(response, Response):
                response.render()
            if response.status_code >= 400:
                transaction.set_rollback(True)
            elif self._row is not None:
                idempotency.keep(self._row, response.status_code, response.content)
        return response

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """After the caller's rights were checked: an answer is told to whoever may still ask for it."""
        super().initial(request, *args, **kwargs)
        if not self._keyed:
            return
        match = request._request.resolver_match
        assert match is not None
        claim = idempotency.of_person(request._request, caller_of(request), match.view_name)
        assert claim is not None
        found = idempotency.begin(claim)
        if isinstance(found, Kept):
            raise Replayed(found)
        self._row = found

    def handle_exception(self, exc: Exception) -> Response:
        if not isinstance(exc, Replayed):
            return super().handle_exception(exc)
        response: Any = HttpResponse(exc.kept.body, status=exc.kept.status, content_type="application/json")
        response["Idempotency-Replayed"] = "true"
        return response
