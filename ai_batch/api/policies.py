"""``/api/batch/policy``: which engine runs a company's batches that ask for none."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponseBase

from ai_batch import selectors
from ai_batch.api import forms, policy_documents
from ai_batch.services import batches
from megahub.kernel import body, loop, trail
from megahub.kernel.requests import json_response
from megahub.tenancy.authentication import for_caller
from megahub.tenancy.selectors import Caller


@policy_documents.READ
@policy_documents.CHANGE
@for_caller(GET="jobs:read", PUT="credentials:manage")
async def policy(request: HttpRequest, caller: Caller) -> HttpResponseBase:
    """``GET`` and ``PUT /api/batch/policy``; administrators change it."""
    forms.refuse_unknown(request.GET.dict(), ())
    if request.method == "PUT":
        wanted = _wanted(body.json_object(request.body))
        await loop.in_thread(
            batches.set_policy, caller.company_id, wanted, trail.origin_of(request, caller)
        )
    found = await loop.in_thread(selectors.policy_of, caller.company_id)
    return json_response({"success": True, "engine": found})


def _wanted(asked: dict[str, Any]) -> str:
    forms.refuse_unknown(asked, ("engine",))
    engine = asked.get("engine")
    if engine is None:
        raise forms.missing("engine")
    if engine not in forms.ENGINES:
        raise forms.wrong_value("engine", engine, forms.ENGINES)
    return str(engine)
