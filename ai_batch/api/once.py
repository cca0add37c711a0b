"""Idempotency-Key on the hot lane: a file or a batch is made once, and told again as it was told.

Key, work and answer are one transaction; a refused request leaves nothing, its key included.
"""

from __future__ import annotations

from collections.abc import Callable

from django.db import transaction
from django.http import HttpRequest, HttpResponse

from megahub.kernel import loop
from megahub.kernel.requests import json_response
from megahub.tenancy import idempotency
from megahub.tenancy.idempotency import Claim, Kept
from megahub.tenancy.selectors import Caller

Make = Callable[[], bytes]


async def answered(
    request: HttpRequest, caller: Caller, sent: bytes, make: Make, status: int = 201
) -> HttpResponse:
    """``make()`` as JSON, or what it was before. ``sent``: what was asked for, or its digest."""
    assert request.resolver_match is not None
    claim = idempotency.of_person(request, caller, request.resolver_match.view_name, sent)
    return await loop.in_thread(_once, claim, make, status)


def _once(claim: Claim | None, make: Make, status: int) -> HttpResponse:
    if claim is None:
        return json_response(make(), status)
    with transaction.atomic():
        found = idempotency.begin(claim)
        if not isinstance(found, Kept):
            told = make()
            idempotency.keep(found, status, told)
            return json_response(told, status)
    response = json_response(found.body, found.status)
    response["Idempotency-Replayed"] = "true"
    return response
