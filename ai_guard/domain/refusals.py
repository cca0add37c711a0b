"""What a guarded request is refused with."""

from __future__ import annotations

from megahub.kernel.errors import BadRequest, Conflict


class ContentBlocked(BadRequest):
    """Facts: ``direction`` (``input`` or ``output``). Never the word that was found."""

    code = "CONTENT_BLOCKED"
    message = "Your company's content rules do not allow this {direction}."


class AnswerNotKept(Conflict):
    code = "ANSWER_NOT_KEPT"
    message = "This key was used already; your company keeps no answers, so it cannot be told again."
