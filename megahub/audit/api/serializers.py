"""An entry of the trail as JSON."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from megahub.audit.models import AuditEntry


class ActorShape(serializers.Serializer[Any]):
    type = serializers.ChoiceField(source="actor_kind", choices=AuditEntry.ActorKind.choices)
    id = serializers.IntegerField(source="actor_id", allow_null=True)
    name = serializers.CharField(source="actor_name")
    api_key_id = serializers.IntegerField(allow_null=True)


class OriginShape(serializers.Serializer[Any]):
    ip = serializers.CharField()
    hops = serializers.IntegerField(help_text="How many proxies say they passed the request on.")
    user_agent = serializers.CharField()


class ObjectShape(serializers.Serializer[Any]):
    type = serializers.CharField(source="object_type")
    id = serializers.CharField(source="object_id")
    name = serializers.CharField(source="object_name")


class EntryShape(serializers.Serializer[Any]):
    """``before`` and ``after`` hold what differs; all of it where something was made or taken away."""

    seq = serializers.IntegerField(help_text="Its place in the company's chain, from 1.")
    at = serializers.DateTimeField()
    actor = ActorShape(source="*")
    origin = OriginShape(source="*")
    request_id = serializers.CharField()
    action = serializers.CharField()
    object = ObjectShape(source="*")
    before = serializers.DictField(allow_null=True)
    after = serializers.DictField(allow_null=True)
    reason = serializers.CharField()
    prev_hash = serializers.CharField()
    hash = serializers.CharField()
