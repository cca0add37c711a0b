"""``/ai/models/``: every model of the catalogue, and the form of its parameters."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson
from django.http import HttpResponseBase
from django.utils.cache import get_conditional_response
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ai_openai.domain import listing
from ai_providers import selectors as providers
from ai_providers.domain import forms
from megahub.kernel import clock
from megahub.kernel.errors import ModelNotFound
from megahub.kernel.shapes import Strict, read
from megahub.tenancy.authentication import caller_of

STATUSES = ("active", "deprecated", "retired")
KINDS = ("chat", "embeddings", "responses", "image", "transcription", "speech")
IF_NONE_MATCH = OpenApiParameter("If-None-Match", str, OpenApiParameter.HEADER)
NOT_MODIFIED = OpenApiResponse(description="What the client has is still true.")


class ModelsQuery(Strict):
    kind = serializers.ChoiceField(choices=KINDS, required=False)
    provider = serializers.CharField(required=False)
    status = serializers.ChoiceField(choices=STATUSES, required=False)
    generation = serializers.ChoiceField(choices=("new", "legacy"), required=False)


class ModelsShape(serializers.Serializer[Any]):
    count = serializers.IntegerField()
    models = serializers.ListField(child=serializers.DictField())


class Models(APIView):
    """The models; ``callable``: this company may call it today."""

    @extend_schema(
        operation_id="models_list",
        parameters=[ModelsQuery, IF_NONE_MATCH],
        responses={200: ModelsShape, 304: NOT_MODIFIED},
        tags=["models"],
    )
    def get(self, request: Request) -> HttpResponseBase:
        """Every model that a client may know, with prices, dates, limits and where its form is."""
        asked, today = read(ModelsQuery, request.query_params), clock.now().date()
        offered = {offer.spec.id for offer in providers.offers(caller_of(request).company_id)}
        rows = [
            {
                **listing.long_form(spec, price, today),
                "kind": spec.kind,
                "batch_eligible": spec.batch_eligible,
                "callable": spec.id in offered,
                "schema_url": f"/ai/models/{spec.id}/schema/",
                "checked": str(spec.checked),
            }
            for spec, price in providers.listing()
        ]
        found = [row for row in rows if all(row[name] == value for name, value in asked.items())]
        return _unless_known(request, {"count": len(found), "models": found})


class ModelSchema(APIView):
    """One model's parameters as a JSON Schema."""

    @extend_schema(
        operation_id="model_schema",
        parameters=[OpenApiParameter("model_id", str, OpenApiParameter.PATH), IF_NONE_MATCH],
        responses={200: OpenApiTypes.OBJECT, 304: NOT_MODIFIED},
        tags=["models"],
    )
    def get(self, request: Request, model_id: str) -> HttpResponseBase:
        """From the row that the validator reads: required, allowed, conditional; hints for forms."""
        known = {spec.id: spec for spec, _ in providers.listing()}
        if model_id not in known:
            available = [spec.id for spec in providers.callable_models()]
            raise ModelNotFound(param="model", model=model_id[:120], available_models=available)
        return _unless_known(request, forms.schema(known[model_id]))


def _unless_known(request: Request, content: dict[str, Any]) -> HttpResponseBase:
    """The answer with its ETag, or 304 for a client that has it."""
    etag = f'"{hashlib.sha256(orjson.dumps(content, default=str)).hexdigest()[:32]}"'
    known: HttpResponseBase | None = get_conditional_response(request._request, etag=etag)
    if known is not None:
        return known
    return Response(content, headers={"ETag": etag, "Cache-Control": "private, no-cache"})
