"""The surfaces that take JSON and answer JSON, for single calls and for the lines of a batch."""

from collections import deque
from collections.abc import Callable

from sandbox import (
    chat,
    completions,
    embeddings,
    errors,
    models,
    moderations,
    responses,
)
from sandbox.chat import PromptCache
from sandbox.faults import Fault
from sandbox.prompts import Body

CHAT = "chat/completions"
MOST_STORED = 1000
RESPONSES = "responses"
INFOMANIAK_MODELS = "infomaniak models"


class Calls:
    """Answers request bodies. Its only memory is the prompt cache, and the answers asked with ``store``."""

    def __init__(self) -> None:
        cache = PromptCache()
        self._cache = cache
        self._stored: deque[Body] = deque(maxlen=MOST_STORED)
        self._surfaces: dict[str, Callable[[Body, int], Body]] = {
            CHAT: self._chat,
            RESPONSES: lambda body, now: responses.answer(body, cache, now),
            "embeddings": lambda body, now: embeddings.answer(body),
            "completions": completions.answer,
            "moderations": lambda body, now: moderations.answer(body),
        }

    def _chat(self, body: Body, now: int) -> Body:
        answer = chat.answer(body, self._cache, now)
        if body.get("store") is True:
            self._stored.appendleft({**answer, "metadata": body.get("metadata") or {}})
        return answer

    def stored(self, wanted: dict[str, str], limit: int) -> Body:
        """The kept completions, the latest first, whose metadata say all that is wanted."""
        found = [each for each in self._stored if wanted.items() <= each["metadata"].items()]
        return {"object": "list", "data": found[:limit], "has_more": len(found) > limit}

    def __contains__(self, surface: str) -> bool:
        return surface in self._surfaces

    def answer(self, surface: str, body: Body, fault: Fault, now: int) -> Body:
        """The body of the 200 answer; raises ApiError for every other status."""
        refuse_unknown_model(surface, body)
        answer = self._surfaces[surface](body, now)
        if fault.no_usage:
            answer.pop("usage", None)
        return answer

    def chunks(self, body: Body, fault: Fault, now: int) -> list[Body]:
        """The chunks of a streamed chat completion; raises ApiError before the first of them."""
        refuse_unknown_model(CHAT, body)
        completion = chat.complete(body, self._cache, now)
        options = body.get("stream_options") or {}
        include_usage = bool(options.get("include_usage")) and not fault.no_usage
        return list(chat.chunks(completion, include_usage=include_usage))


def refuse_unknown_model(surface: str, body: Body) -> None:
    model = body.get("model")
    if not isinstance(model, str) or models.UNKNOWN_MARK not in model:
        return
    if surface != RESPONSES:
        raise errors.unknown_model(model)
    raise errors.ApiError(
        400, f"The requested model '{model}' does not exist.", param="model", code="model_not_found"
    )
