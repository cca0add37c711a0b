"""The provider's moderation as a part of the content filter: on input and output, and what it costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ai_core.models import AIJob
from ai_guard.domain import rules
from ai_guard.services import policies
from ai_providers.adapters.registry import ADAPTERS
from ai_providers.domain.wire import Access, Call, Completion, Usage
from megahub.kernel.errors import ProviderUnavailable
from tests import world
from tests.ai_guard.test_filter import CHAT, V1, chat, found
from tests.conftest import Api
from tests.stubs import Scripted, completion
from tests.world import Cast

Provider = Callable[..., Scripted]
POLICY = "/ai/privacy/policy/"


def judged(*categories: str) -> Completion:
    result = {"flagged": bool(categories), "categories": {"hate": False, **dict.fromkeys(categories, True)}}
    return Completion({"id": "modr-1", "model": "omni", "results": [result]}, Usage(), None, None)


@pytest.fixture
def moderated(provider: Provider) -> Callable[..., Scripted]:
    """A provider that flags what holds ``bad``, and answers a chat with ``said``."""

    def put(said: str, fails: Exception | None = None) -> Scripted:
        async def answer(call: Call, access: Access) -> Completion:
            if call.endpoint != "moderations":
                return completion(said)
            if fails is not None:
                raise fails
            return judged("violence", "self-harm") if "bad" in call.params["input"] else judged()

        return provider(answer)

    return put


def endpoints(scripted: Scripted) -> list[str]:
    return [call.endpoint for call, _, _ in scripted.calls]


@pytest.mark.parametrize("door", [V1, CHAT])
def test_input_is_blocked_before_it_is_a_job(
    api: Api, cast: Cast, moderated: Callable[..., Scripted], door: str
) -> None:
    policies.change(cast.company.pk, {"content_filter": "block", "moderation": True})
    budget, scripted = world.make_budget(cast.company, "5"), moderated("never said")

    response = api.as_(cast.alice).post(door, chat("something bad"))

    assert response.status_code == 400
    assert "content_blocked" in response.text.lower()
    assert endpoints(scripted) == ["moderations"]
    assert not AIJob.objects.of(cast.company.pk).exists()
    assert world.window(budget) is None
    assert found(cast) == [("input", "blocked", 2)]


def test_output_is_blocked_and_paid(api: Api, cast: Cast, moderated: Callable[..., Scripted]) -> None:
    policies.change(cast.company.pk, {"content_filter": "block", "moderation": True})
    scripted = moderated("a bad answer")

    response = api.as_(cast.alice).post(V1, chat("what is it?"))

    assert response.json()["error"]["code"] == "content_blocked"
    assert endpoints(scripted) == ["moderations", "chat", "moderations"]
    (entry,) = world.ledger(AIJob.objects.of(cast.company.pk).get().pk)
    assert (entry.kind, entry.output_tokens) == ("settle", 5)
    assert found(cast) == [("output", "blocked", 2)]


def test_flagged_is_counted(api: Api, cast: Cast, moderated: Callable[..., Scripted]) -> None:
    policies.change(cast.company.pk, {"content_filter": "flag", "moderation": True})
    moderated("a bad answer")

    response = api.as_(cast.alice).post(V1, chat("something bad"))

    assert response.status_code == 200
    assert found(cast) == [("input", "flagged", 2), ("output", "flagged", 2)]


def test_words_come_first(api: Api, cast: Cast, moderated: Callable[..., Scripted]) -> None:
    policies.change(cast.company.pk, {"content_filter": "block", "moderation": True, "words": ["plan"]})
    scripted = moderated("fine")

    assert api.as_(cast.alice).post(V1, chat("the plan")).status_code == 400
    assert endpoints(scripted) == []


class TestImages:
    """What a request shows is looked at, too: each image by itself, none of them as text."""

    @staticmethod
    def showing(*addresses: str, text: str = "What is on it?") -> dict[str, Any]:
        shown = [{"type": "image_url", "image_url": {"url": each}} for each in addresses]
        parts = [{"type": "text", "text": text}, *shown]
        return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": parts}]}

    @pytest.fixture
    def seeing(self, provider: Provider) -> Scripted:
        """A provider that flags an image whose address ends in ``bad``."""

        async def answer(call: Call, access: Access) -> Completion:
            if call.endpoint != "moderations":
                return completion("a cat")
            asked = call.params["input"]
            seen = asked if isinstance(asked, str) else asked[0]["image_url"]["url"]
            return judged("sexual") if seen.endswith("bad") else judged()

        return provider(answer)

    def test_it_works(self, api: Api, cast: Cast, seeing: Scripted) -> None:
        policies.change(cast.company.pk, {"content_filter": "block", "moderation": True})
        fine, bad = "data:image/png;base64,AAAAfine", "data:image/png;base64,AAAAbad"

        passed = api.as_(cast.alice).post(V1, self.showing(fine, fine))
        blocked = api.as_(cast.alice).post(V1, self.showing(fine, bad))

        assert passed.status_code == 200
        assert (blocked.status_code, blocked.json()["error"]["code"]) == (400, "content_blocked")
        assert found(cast) == [("input", "blocked", 1)]
        asked = [call.params["input"] for call, _, _ in seeing.calls if call.endpoint == "moderations"]
        shown = [[{"type": "image_url", "image_url": {"url": each}}] for each in (fine, bad)]
        assert asked.count(shown[0]) == 2
        assert asked.count(shown[1]) == 1
        assert "base64" not in str([each for each in asked if isinstance(each, str)])

    def test_an_image_that_is_not_answered_for(self, api: Api, cast: Cast, provider: Provider) -> None:
        async def answer(call: Call, access: Access) -> Completion:
            if isinstance(call.params.get("input"), list):
                raise ProviderUnavailable(provider="openai")
            return judged()

        provider(answer)
        policies.change(cast.company.pk, {"content_filter": "block", "moderation": True})

        response = api.as_(cast.alice).post(V1, self.showing("https://example.com/cat.png"))

        assert (response.status_code, response.json()["error"]["code"]) == (503, "content_unchecked")
        assert not AIJob.objects.of(cast.company.pk).exists()

    def test_a_word_that_only_looks_like_an_image(self, api: Api, cast: Cast, seeing: Scripted) -> None:
        policies.change(cast.company.pk, {"content_filter": "block", "words": ["plan"]})

        assert api.as_(cast.alice).post(V1, chat("data: the plan")).status_code == 400

    def test_what_a_model_draws(self, api: Api, cast: Cast, provider: Provider) -> None:
        """As a chat's answer holds it: its image is looked at, and is no text."""
        drawn = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAAbad"}}

        async def answer(call: Call, access: Access) -> Completion:
            if call.endpoint != "moderations":
                said = completion("Here it is.")
                said.body["choices"][0]["message"]["images"] = [drawn]
                return said
            return judged("sexual") if "bad" in str(call.params["input"]) else judged()

        scripted = provider(answer)
        policies.change(cast.company.pk, {"content_filter": "block", "moderation": True})

        response = api.as_(cast.alice).post(V1, chat("Draw."))

        assert response.json()["error"]["code"] == "content_blocked"
        assert found(cast) == [("output", "blocked", 1)]
        asked = [call.params["input"] for call, _, _ in scripted.calls if call.endpoint == "moderations"]
        assert asked[-1] == [drawn]


class TestPieces:
    def test_a_long_text_is_asked_piece_by_piece(
        self, api: Api, cast: Cast, moderated: Callable[..., Scripted]
    ) -> None:
        policies.change(cast.company.pk, {"content_filter": "block", "moderation": True})
        scripted = moderated("fine")
        text = "fine " * 8_000 + "bad"

        response = api.as_(cast.alice).post(V1, chat(text))

        assert (response.status_code, response.json()["error"]["code"]) == (400, "content_blocked")
        asked = [call.params["input"] for call, _, _ in scripted.calls]
        assert [len(each) <= rules.PIECE for each in asked] == [True] * 3
        assert sorted(each.endswith("bad") for each in asked)[-1]

    @pytest.mark.parametrize("length", [0, 1, 15_999, 16_000, 16_001, 31_600, 31_601, 100_000])
    def test_nothing_is_left_out_and_what_is_cut_stands_whole_in_one(self, length: int) -> None:
        text = "".join(chr(0x100 + n % 9_973) for n in range(length))

        found = rules.pieces(text)

        assert max(map(len, found)) <= rules.PIECE
        whole = found[0] + "".join(each[rules.OVERLAP :] for each in found[1:])
        assert whole == text
        assert [a[-rules.OVERLAP :] for a in found[:-1]] == [b[: rules.OVERLAP] for b in found[1:]]


def test_what_a_responses_answer_draws() -> None:
    call = {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "AAAA"}
    answer = {"output": [call, {**call, "output_format": "webp"}, {**call, "result": None}]}

    assert rules.images(answer) == ["data:image/png;base64,AAAA", "data:image/webp;base64,AAAA"]
    assert "AAAA" not in rules.texts(answer)


@pytest.mark.parametrize(
    "fails", [ProviderUnavailable(provider="openai"), TimeoutError()], ids=["away", "slow"]
)
class TestUnanswered:
    def test_nothing_passes_unseen(
        self, api: Api, cast: Cast, moderated: Callable[..., Scripted], fails: Exception
    ) -> None:
        policies.change(cast.company.pk, {"content_filter": "block", "moderation": True})
        scripted = moderated("never said", fails)

        response = api.as_(cast.alice).post(V1, chat("anything"))

        assert (response.status_code, response.json()["error"]["code"]) == (503, "content_unchecked")
        assert endpoints(scripted) == ["moderations"]
        assert not AIJob.objects.of(cast.company.pk).exists()
        assert found(cast) == []

    def test_what_is_only_flagged_passes(
        self, api: Api, cast: Cast, moderated: Callable[..., Scripted], fails: Exception
    ) -> None:
        policies.change(cast.company.pk, {"content_filter": "flag", "moderation": True})
        moderated("said", fails)

        assert api.as_(cast.alice).post(V1, chat("anything")).status_code == 200
        assert found(cast) == []


@pytest.mark.parametrize(
    "changes", [{"content_filter": "off", "moderation": True}, {"content_filter": "block"}]
)
def test_it_is_asked_only_when_it_is_wanted(
    api: Api, cast: Cast, moderated: Callable[..., Scripted], changes: dict[str, Any]
) -> None:
    policies.change(cast.company.pk, changes)
    scripted = moderated("bad")

    assert api.as_(cast.alice).post(V1, chat("something bad")).status_code == 200
    assert endpoints(scripted) == ["chat"]


def test_through_the_sandbox(api: Api, cast: Cast) -> None:
    """The wire itself: the sandbox flags a text that says so."""
    assert (
        api.as_(cast.alice)
        .request("PATCH", POLICY, json={"content_filter": "block", "moderation": True})
        .json()["moderation"]
        is True
    )
    assert "openai" in ADAPTERS

    blocked = api.as_(cast.alice).post(V1, chat("[flag] this"))
    fine = api.as_(cast.alice).post(V1, chat("Say hello."))

    assert (blocked.status_code, blocked.json()["error"]["code"]) == (400, "content_blocked")
    assert fine.status_code == 200
    assert found(cast) == [("input", "blocked", 1)]
