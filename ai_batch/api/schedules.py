"""``/api/batch/schedules``: batches that come again."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponseBase

from ai_batch import selectors
from ai_batch.api import forms, guide, once, orders, schedule_documents, shapes
from ai_batch.domain import recurring as rules
from ai_batch.models import BatchSchedule
from ai_batch.services import batches, making, recurring
from megahub.kernel import body, loop, trail
from megahub.kernel.errors import ValidationFailed
from megahub.kernel.requests import json_response
from megahub.tenancy.authentication import for_caller
from megahub.tenancy.selectors import Caller

OWN = ("name", "cron", "timezone")
MAX_TEXT = 120


def shape(row: BatchSchedule) -> dict[str, Any]:
    """A schedule as it is shown."""
    return {
        "id": row.schedule_id,
        "object": "batch.schedule",
        "name": row.name,
        "cron": row.cron,
        "timezone": row.timezone,
        "endpoint": row.fields.get("endpoint"),
        "engine": row.fields.get("engine_asked"),
        "metadata": row.fields.get("metadata"),
        "template_file_id": row.template.file_id,
        "paused": row.next_at is None,
        "next_at": shapes.seconds(row.next_at),
        "last_at": shapes.seconds(row.last_at),
        "last_error": row.last_error or None,
        "created_at": shapes.seconds(row.created_at),
    }


@schedule_documents.LIST
@schedule_documents.CREATE
@for_caller(GET="jobs:read", POST="inference")
async def all_schedules(request: HttpRequest, caller: Caller) -> HttpResponseBase:
    """``GET`` and ``POST /api/batch/schedules``."""
    caller.require_brand()
    if request.method == "GET":
        forms.refuse_unknown(request.GET.dict(), ())
        rows = await loop.in_thread(lambda: list(selectors.schedules_of(caller)))
        return json_response({"success": True, "object": "list", "data": [shape(row) for row in rows]})
    who = trail.origin_of(request, caller)
    asked = body.json_object(request.body)

    def make() -> bytes:
        return shapes.dumps({"success": True, "schedule": shape(_create(caller, asked, who))})

    return await once.answered(request, caller, request.body, make)


def _create(caller: Caller, asked: dict[str, Any], who: trail.Origin) -> BatchSchedule:
    told = _own(asked, {"name": "", "timezone": caller.timezone})
    rest = {name: value for name, value in asked.items() if name not in (*OWN, "requests")}
    if "requests" not in asked:
        template = selectors.file_of(caller, str(rest.get("input_file_id") or ""))
        fields = forms.batch_of({"completion_window": "24h", **rest})
    else:
        fields = orders.fields_of_requests(rest, asked["requests"])
        lines = making.of_requests(asked["requests"])
        template = making.of_lines(batches.owner_of(caller), "template.jsonl", lines)
    fields.pop("input_file_id")
    with trail.change(who, "batch_schedule.create") as change:
        made = recurring.create(caller, {**told, "fields": fields}, template)
        change.about(made)
    return made


def _change(row: BatchSchedule, told: dict[str, Any], who: trail.Origin) -> BatchSchedule:
    with trail.change(who, "batch_schedule.change", row):
        return recurring.change(row, told)


def _delete(row: BatchSchedule, who: trail.Origin) -> None:
    with trail.change(who, "batch_schedule.delete", row):
        recurring.delete(row)


def _own(asked: dict[str, Any], known: dict[str, str]) -> dict[str, Any]:
    """Name, expression and time zone. Raises ValidationFailed."""
    told = {**known, **{name: asked[name] for name in OWN if name in asked}}
    for name, value in told.items():
        if not isinstance(value, str) or len(value) > MAX_TEXT:
            raise forms.wrong_type(name, "a string", value)
    if "cron" not in told:
        raise forms.missing("cron")
    if (odd := rules.check(told["cron"], told["timezone"])) is not None:
        message = "Invalid value for '{name}': '{value}'."
        raise ValidationFailed(message, param=odd, words={"name": odd, "value": told[odd][:80]})
    return told


@schedule_documents.ONE
@schedule_documents.CHANGE
@schedule_documents.DELETE
@for_caller(GET="jobs:read", PATCH="jobs:write", DELETE="jobs:write")
async def one(request: HttpRequest, caller: Caller, schedule_id: str) -> HttpResponseBase:
    """``GET``, ``PATCH`` and ``DELETE /api/batch/schedules/{id}``."""
    row = await loop.in_thread(selectors.schedule_of, caller, schedule_id)
    who = trail.origin_of(request, caller)
    if request.method == "DELETE":
        await loop.in_thread(_delete, row, who)
        return json_response({"success": True, "id": row.schedule_id, "deleted": True})
    if request.method == "PATCH":
        asked = body.json_object(request.body)
        forms.refuse_unknown(asked, (*OWN, "paused"))
        told = _own(asked, {"name": row.name, "cron": row.cron, "timezone": row.timezone})
        if "paused" in asked:
            if not isinstance(asked["paused"], bool):
                raise forms.wrong_type("paused", "a boolean", asked["paused"])
            told["paused"] = asked["paused"]
        row = await loop.in_thread(_change, row, told, who)
    return json_response({"success": True, "schedule": shape(row)})


@schedule_documents.HISTORY
@for_caller(GET="jobs:read")
async def history(request: HttpRequest, caller: Caller, schedule_id: str) -> HttpResponseBase:
    """``GET /api/batch/schedules/{id}/history``: the latest batches that it made."""
    forms.refuse_unknown(request.GET.dict(), ())
    row = await loop.in_thread(selectors.schedule_of, caller, schedule_id)
    made = selectors.batches_of(caller).filter(schedule=row)
    found = await loop.in_thread(lambda: [guide.shape(batch) for batch in made[:100]])
    return json_response({"success": True, "object": "list", "data": found})
