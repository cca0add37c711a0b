"""What a guarded request is refused with."""

from __future__ import annotations

from megahub.kernel.errors import BadRequest, Conflict, ServerError


class ContentBlocked(BadRequest):
    """Facts: ``direction`` (``input`` or ``output``). Never the word that was found."""

    code = "CONTENT_BLOCKED"
    message = "Your company's content rules do not allow this {direction}."


class ContentUnchecked(ServerError):
    """The provider's moderation did not answer; where texts are blocked, none passes unseen."""

    status = 503
    code = "CONTENT_UNCHECKED"
    message = "Your company's content rules ask the provider's moderation, which does not answer now."


class AnswerNotKept(Conflict):
    code = "ANSWER_NOT_KEPT"
    message = "This key was used already; your company keeps no answers, so it cannot be told again."
