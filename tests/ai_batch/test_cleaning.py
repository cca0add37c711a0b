"""Lines whose parameters are known again are cleaned and estimated as if they were the first."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings

from ai_batch.domain.cleaning import Cleaner
from ai_providers.domain import params, pricing
from ai_providers.domain.spec import ModelSpec
from megahub.kernel.errors import HubError
from tests.ai_providers import any_body
from tests.ai_providers.test_pricing import RATES

SAID = [
    [{"role": "user", "content": "Hello."}],
    [{"role": "user", "content": [{"type": "text", "text": "Hé."}]}],
    [{"role": "user", "content": "Hello.", "name": "ada"}, {"role": "user", "content": "漢字"}],
    [{"role": "nobody", "content": "Hello."}],
    [{"role": "user", "content": 5}],
    [{"role": ["user"], "content": "Hello."}],
    ["Hello."],
    [],
]


def cleaned(how: Any, *given_: Any) -> Any:
    """What comes of it, or the error that it is refused with."""
    try:
        return how(*given_)
    except HubError as error:
        return error.as_data()


@settings(any_body.PATIENT, max_examples=200)
@given(any_body.legal().filter(lambda drawn: drawn[0].kind == "chat" and drawn[0].prices))
def test_it_works(drawn: tuple[ModelSpec, dict[str, Any]]) -> None:
    spec, body = drawn
    cleaner, price = Cleaner(spec), spec.prices[0]
    rate = RATES[price.currency]
    estimator = pricing.Estimator(spec, price, rate, priced=True, batch=False)

    def alone(asked: dict[str, Any]) -> dict[str, Any]:
        return params.clean(spec, asked, with_defaults=False).params

    for said in (body["messages"], *SAID):
        asked = {**body, "messages": said}
        first = cleaned(alone, asked)
        assert cleaned(cleaner.clean, asked) == first
        known = cleaner.known(asked)
        if known is not None:
            whole = estimator.of({**known, "messages": said})
            assert estimator.of_chat(estimator.bounds(known), said) == whole
            assert {**known, "messages": first["messages"]} == first
