"""Shapes of ``/ai/privacy/policy/`` and ``/ai/privacy/findings/``."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from ai_guard.domain import rules
from ai_guard.models import MAX_DAYS, GuardPolicy
from megahub.kernel.shapes import Strict


class Word(serializers.CharField):
    """A plain word or phrase; what is left of it when it is compared may not be empty."""

    def to_internal_value(self, data: Any) -> str:
        text = str(super().to_internal_value(data))
        if not 0 < len(rules.folded(text)) <= rules.MAX_LENGTH:
            self.fail("blank")
        return text


class PolicyShape(Strict):
    prompts = serializers.ChoiceField(GuardPolicy.Prompts.choices, required=False)
    keep_days = serializers.IntegerField(min_value=1, max_value=MAX_DAYS, allow_null=True, required=False)
    content_filter = serializers.ChoiceField(GuardPolicy.Filter.choices, required=False)
    words = serializers.ListField(
        child=Word(max_length=rules.MAX_LENGTH),
        max_length=rules.MAX_WORDS,
        required=False,
        help_text="Looked for in texts alone: what an image or a sound says, only `moderation` can tell"
        " (of images). Vectors and scores hold no text.",
    )
    moderation = serializers.BooleanField(
        required=False,
        help_text="The provider's moderation looks at texts and images, too, through your own key:"
        " what is asked, and what is answered.",
    )


class Counted(serializers.Serializer[Any]):
    direction = serializers.CharField()
    action = serializers.CharField()
    count = serializers.IntegerField()
    hits = serializers.IntegerField()


class FindingsShape(serializers.Serializer[Any]):
    days = serializers.IntegerField()
    findings = Counted(many=True)


class FindingsQuery(Strict):
    in_query = True
    days = serializers.IntegerField(min_value=1, max_value=366, default=30)
