"""``POST /ai/openai/recommend_model/``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from ai_core import pipeline
from ai_core.models import AIJob
from ai_openai.domain import recommend
from ai_openai.domain.recommend import Candidate, Weights
from ai_providers.catalogue import loading
from ai_providers.models import AIModel
from megahub.kernel import cache, loop
from megahub.kernel.errors import ProviderRefused
from tests import world
from tests.conftest import Api
from tests.stubs import Scripted, completion
from tests.world import Cast

Provider = Callable[..., Scripted]
URL = "/ai/openai/recommend_model/"
BODY: dict[str, Any] = {"task_description": "Analyse 50 pages of content" + "." * 373}  # 400 characters
NOTHING = {
    "complexity_score": 0,
    "budget_constraint": 0,
    "quality_requirement": 0,
    "speed_requirement": 0,
}


def asked(api: Api, cast: Cast, **changes: Any) -> dict[str, Any]:
    response = api.as_(cast.alice).post(URL, {**BODY, **changes})
    assert response.status_code == 200, response.text
    return dict(response.json())


def ran(cast: Cast, provider: Provider, model: str, *answers: Any, times: int = 3) -> None:
    for _ in range(times):
        provider(*answers)
        loop.run(pipeline.finish(world.submit(cast.alice, model=model)))


class TestAnswer:
    def test_it_works(self, api: Api, cast: Cast) -> None:
        answer = asked(api, cast, **{**NOTHING, "budget_constraint": 1, "expected_output_tokens": 1000})

        # 108 input tokens (400 / 4 + 8) and 1,000 of output, at gpt-6-luna's or another's list price.
        spec = loading.models()[answer["recommended_model"]]
        assert answer["estimate_basis"] == {
            "input_tokens": 108,
            "output_tokens": 1000,
            "output_from": "given",
            "measured_jobs": 0,
            "success_rate": None,
        }
        assert answer["estimated_time"] is answer["estimated_time_seconds"] is None
        costs = [float(other["estimated_cost"]) for other in answer["alternatives"]]
        assert costs == sorted(costs)
        assert float(answer["estimated_cost"]) <= costs[0]
        assert spec.shutdown_date is None or not spec.is_retired(loading.BEGINNING)
        assert answer["weights"] == {"quality": 0.0, "cost": 1.0, "speed": 0.0, "reasoning": 0.0}
        assert "cost" in answer["reasoning"]
        assert "catalogue" in answer["reasoning"]
        assert len(answer["alternatives"]) == 3
        assert 0.5 <= answer["confidence"] <= 1
        assert not AIJob.objects.of(cast.company.pk).exists()

    def test_cost_is_price_times_tokens(self, api: Api, cast: Cast) -> None:
        keep_only(cast, "gpt-4o-mini")
        answer = asked(api, cast, expected_output_tokens=1000)

        # 108 x 0.15 + 1,000 x 0.60 millionths
        assert (answer["recommended_model"], answer["estimated_cost"]) == ("gpt-4o-mini", "0.000616")
        assert (answer["alternatives"], answer["confidence"]) == ([], 1.0)

    def test_weights_choose(self, api: Api, cast: Cast) -> None:
        cheap = asked(api, cast, **{**NOTHING, "budget_constraint": 1})
        best = asked(api, cast, **{**NOTHING, "quality_requirement": 1})
        thinker = asked(api, cast, **{**NOTHING, "complexity_score": 1})

        profile = loading.models()[best["recommended_model"]].profile
        assert profile.quality == "highest"
        assert loading.models()[thinker["recommended_model"]].is_reasoning
        assert float(cheap["estimated_cost"]) < float(best["estimated_cost"])

    def test_what_was_measured_counts(self, api: Api, cast: Cast, provider: Provider) -> None:
        async def slowly(*_: Any) -> Any:
            await asyncio.sleep(0.02)
            return completion("Hi.", 10, 40)

        ran(cast, provider, "gpt-4o-mini", slowly)
        before = asked(api, cast, **{**NOTHING, "budget_constraint": 1})
        ran(cast, provider, before["recommended_model"], ProviderRefused(provider="openai", reason="No."))
        after = asked(api, cast, **{**NOTHING, "budget_constraint": 1})
        keep_only(cast, "gpt-4o-mini")
        mini = asked(api, cast)

        assert after["recommended_model"] != before["recommended_model"]
        basis = mini["estimate_basis"]
        assert (basis["output_tokens"], basis["output_from"]) == (40, "measured")
        assert (basis["measured_jobs"], basis["success_rate"]) == (3, 1.0)
        assert mini["estimated_time_seconds"] >= 0.02
        assert mini["estimated_time"] == f"{mini['estimated_time_seconds']:g} seconds"
        assert "Your own 3 jobs" in mini["reasoning"]

    def test_a_strangers_figures_do_not_count(self, api: Api, cast: Cast, provider: Provider) -> None:
        ran(cast, provider, "gpt-4o-mini", completion("Hi.", 10, 40))

        answer = api.as_(cast.charlie).post(URL, BODY).json()

        assert answer["estimate_basis"]["measured_jobs"] == 0

    def test_what_a_budget_has_no_room_for_is_left_out(self, api: Api, cast: Cast) -> None:
        world.make_budget(cast.company, "0.0005")
        answer = asked(api, cast, expected_output_tokens=1000)

        assert float(answer["estimated_cost"]) <= 0.0005
        assert {"model": "gpt-4o-mini", "reason": "budget"} in answer["excluded"]

    def test_nobody_is_left(self, api: Api, cast: Cast) -> None:
        world.make_budget(cast.company, "0")
        answer = asked(api, cast)

        assert answer["recommended_model"] is answer["estimated_cost"] is answer["estimated_time"] is None
        assert (answer["confidence"], answer["alternatives"]) == (0.0, [])

    def test_a_blocked_model_is_not_recommended(self, api: Api, cast: Cast) -> None:
        weights = {**NOTHING, "budget_constraint": 1}
        first = asked(api, cast, **weights)["recommended_model"]
        AIModel.objects.create(model_id=first, is_blocked=True)
        cache.forget_everything()
        try:
            assert asked(api, cast, **weights)["recommended_model"] != first
        finally:
            AIModel.objects.filter(model_id=first).delete()
            cache.forget_everything()

    def test_in_french(self, api: Api, cast: Cast) -> None:
        client = api.as_(cast.alice, accept_language="fr")

        answer = client.post(URL, BODY).json()

        assert "l'emporte sur ce qui compte le plus ici" in answer["reasoning"]
        assert "coût" in answer["alternatives"][0]["trade_offs"]

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"task_description": None}, "task_description"),
            ({"task_description": ""}, "task_description"),
            ({"complexity_score": 1.1}, "complexity_score"),
            ({"budget_constraint": -0.1}, "budget_constraint"),
            ({"quality_requirement": "much"}, "quality_requirement"),
            ({"speed_requirement": None}, "speed_requirement"),
            ({"speed_requirement": "NaN"}, "speed_requirement"),
            ({"expected_output_tokens": 0}, "expected_output_tokens"),
        ],
    )
    def test_bad_input(self, api: Api, cast: Cast, change: dict[str, Any], field: str) -> None:
        response = api.as_(cast.alice).post(URL, {**BODY, **change})

        assert (response.status_code, list(response.json()["field_errors"])) == (400, [field])

    def test_who_may(self, api: Api, cast: Cast) -> None:
        assert api.post(URL, BODY).status_code == 401
        refused = api.as_(cast.alice.api_key("inference")).post(URL, BODY)
        assert refused.json()["error_code"] == "SCOPE_MISSING"
        assert api.as_(cast.alice).post(URL, {**BODY, "nonsense": 1}).status_code == 400


def keep_only(cast: Cast, model: str) -> None:
    """Budgets of nothing for every other model that could be called."""
    from ai_providers import selectors

    for spec in selectors.callable_models():
        if spec.id != model:
            world.make_budget(cast.company, "0", scope="model", scope_value=spec.id)


class TestRank:
    def of(self, model: str, cost: int, **fields: Any) -> Candidate:
        nothing = {"seconds": None, "jobs": 0, "success_rate": None, "tokens_per_second": None}
        return Candidate(loading.models()[model], cost, **{**nothing, **fields})

    def test_failures_cost(self) -> None:
        weights = Weights(complexity=0, budget=1, quality=0, speed=0)
        failing = self.of("gpt-4o-mini", 10, jobs=3, success_rate=0.0)
        too_few = self.of("gpt-4o-mini", 10, jobs=2, success_rate=0.0)
        other = self.of("gpt-4o", 100, jobs=3, success_rate=1.0)
        dear = self.of("o3", 400)

        assert recommend.rank([failing, other, dear], weights)[0].candidate is other
        assert recommend.rank([too_few, other, dear], weights)[0].candidate is too_few

    def test_measured_speed_goes_before_the_catalogues_word(self) -> None:
        weights = Weights(complexity=0, budget=0, quality=0, speed=1)
        said_fast = self.of("gpt-4o-mini", 10, jobs=9, success_rate=1.0, tokens_per_second=5.0)
        said_medium = self.of("gpt-5.2", 10)

        assert recommend.rank([said_fast, said_medium], weights)[0].candidate is said_medium

    def test_differences(self) -> None:
        o3, mini = self.of("o3", 400), self.of("gpt-4o-mini", 100)

        assert recommend.trade_offs(o3, mini) == ["cheaper", "weaker", "faster"]
        assert recommend.trade_offs(mini, o3) == ["dearer", "better", "slower"]
        assert recommend.trade_offs(mini, mini) == ["alike"]
        assert (recommend.savings(o3, mini), recommend.savings(mini, o3)) == ("75%", None)

    def test_nobody(self) -> None:
        assert recommend.rank([], Weights(1, 1, 1, 1)) == []
        assert recommend.confidence([]) == 0.0
