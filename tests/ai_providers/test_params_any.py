"""``params.clean`` on anything: it cleans or raises a HubError, and what it let through is sound."""

from __future__ import annotations

import copy
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ai_providers.domain import params, pricing, tokens
from ai_providers.domain.params import Cleaned
from ai_providers.domain.spec import ModelSpec
from megahub.kernel import surfaces
from megahub.kernel.errors import HubError, InvalidParameterForModel, ValidationFailed
from tests.ai_providers.any_body import CALLED, MODELS, PATIENT, anything, legal


def attempt(spec: ModelSpec, body: dict[str, Any], *, with_defaults: bool) -> Cleaned | None:
    """What is cleaned, or None for a refusal, which must be sayable on every surface."""
    before = copy.deepcopy(body)
    try:
        found = params.clean(spec, body, with_defaults=with_defaults)
    except HubError as error:
        assert error.status == 400
        for surface in (surfaces.megahub, surfaces.openai, surfaces.envelope, surfaces.batch):
            orjson.dumps(surface(error, str, "r"))
        orjson.dumps(error.as_data())
        return None
    finally:
        assert body == before
    return found


def test_it_works() -> None:
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}], "colour": None}

    assert attempt(MODELS["gpt-4o"], body, with_defaults=False) == Cleaned({"messages": body["messages"]})


@settings(PATIENT, max_examples=400)
@given(drawn=anything, with_defaults=st.booleans())
@example((MODELS["gpt-4o"], {"messages": [{"role": "user", "content": [{"type": []}]}]}), True)
@example(
    (MODELS["gpt-4o"], {"messages": [{"role": "user", "content": "a"}], "tools": [{"type": {}}]}), True
)
@example((MODELS["whisper-1"], {"file": "a", "response_format": "json"}), True)
def test_any_object(drawn: tuple[ModelSpec, dict[str, Any]], with_defaults: bool) -> None:
    """Either cleaned or refused with a HubError, and then what follows holds as well."""
    spec, body = drawn
    found = attempt(spec, body, with_defaults=with_defaults)
    if found is None or spec not in CALLED:
        return
    assert tokens.most_input(found.params) >= 0
    assert pricing.output_bound(spec, found.params) >= 0
    assert set(found.params) <= set(spec.params)
    orjson.dumps(found.params)


@settings(PATIENT, max_examples=300)
@given(drawn=legal(), with_defaults=st.booleans())
def test_legal_bodies_are_taken(drawn: tuple[ModelSpec, dict[str, Any]], with_defaults: bool) -> None:
    """But for what depends on another parameter, and formats: nothing legal is refused by mistake."""
    spec, body = drawn
    try:
        params.clean(spec, body, with_defaults=with_defaults)
    except InvalidParameterForModel as error:
        (name,) = error.facts["invalid_params"]
        kind = body["response_format"]["type"] if name == "response_format" else None
        assert spec.params[name].needs or kind in spec.refused_formats
    except ValidationFailed as error:
        assert set(error.field_errors or ()) == {"max_tokens"}
        assert {"max_tokens", "max_completion_tokens"} <= set(body)


@settings(PATIENT, max_examples=200)
@given(drawn=legal(), with_defaults=st.booleans())
def test_cleaning_again_changes_nothing(
    drawn: tuple[ModelSpec, dict[str, Any]], with_defaults: bool
) -> None:
    """A job that waited is cleaned anew from its input; so may be what was cleaned."""
    spec, body = drawn
    once = attempt(spec, body, with_defaults=with_defaults)
    if once is None:
        return
    # A role may have become one that only the provider knows.
    assert spec.kind != "chat" or {m["role"] for m in once.params["messages"]} <= set(spec.roles)
    assert attempt(spec, once.params, with_defaults=with_defaults) == Cleaned(once.params)


@pytest.mark.parametrize("spec", CALLED, ids=lambda spec: spec.id)
def test_cleaning_twice_is_cleaning_once(spec: ModelSpec) -> None:
    """From the same input the same comes out, as long as the catalogue is the same."""
    body: dict[str, Any] = {"messages": [{"role": "user", "content": "a"}], "stream": True}
    if spec.kind == "embeddings":
        body = {"input": ["a"]}

    assert params.clean(spec, body, with_defaults=True) == params.clean(spec, body, with_defaults=True)
