"""Bad input by enumeration over the OpenAPI document: every parameter and every field of every operation.

A wrong value is a 400 that names its field; nothing is ignored, nothing is changed, nothing is a 5xx. What
is wrong the document says (tests/wrong.py); a new endpoint is in here without a line being written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests import document, test_isolation, wrong
from tests.conftest import Api
from tests.stubs import Scripted, completion
from tests.test_isolation import Owned
from tests.world import Cast

owned, receiver = test_isolation.owned, test_isolation.receiver
Key = tuple[str, str]
OPERATIONS = sorted(document.operations().items(), key=lambda item: item[0][::-1])
#: Whose ids a path takes, from the table of tests/test_isolation.py.
KINDS = {(row.method, re.sub(r"\{\w+\}", "{}", row.path)): row.owned for row in test_isolation.ROWS}
#: What belongs to nobody.
EVERYBODYS = {
    "/ai/alerts/rules/{alert_type}/": "cost_warning",
    "/ai/models/{model_id}/schema/": "gpt-4o-mini",
}
#: What an operation insists on, while another parameter is tried.
REQUIRED = {"provider": "openai", "job_id": "1", "status": "completed", "end_user": "somebody"}
#: Examples name these; here they are nobody's.
FOREIGN = ("brand_id",)
#: A text that is nobody's name or no token is told as such; a text that is no id is not found.
OTHERWISE = {
    401: {"username", "password", "refresh", "token"},
    404: {"job_id", "model", "input_file_id"},
}


@pytest.mark.timeout(500)
def test_queries(api: Api, cast: Cast, owned: Owned) -> None:
    alice, found, cases = api.as_(cast.alice), [], 0
    before = owned.now()
    for key, details in OPERATIONS:
        if key[0] != "GET" or not is_list(details):
            continue
        path = filled(key, owned)
        for query, names in queries(details):
            cases += 1
            response = alice.get(path, params=query)
            if not refused(path, response, names):
                found.append(f"{key[1]} {shown(query)}: {response.status_code} {response.text[:200]}")
    assert not found, "\n".join(found)
    assert owned.now() == before
    assert cases > 500


def test_pages_past_the_end(api: Api, cast: Cast, owned: Owned) -> None:
    seen = 0
    for key, details in OPERATIONS:
        if any(parameter["name"] == "page" for parameter in details["parameters"]):
            query = {**required(details), "page": "999999"}
            response = api.as_(cast.alice).get(filled(key, owned), params=query)
            assert response.status_code == 404, key
            assert "999999" in response.text, key
            seen += 1
    assert seen >= 10


@pytest.mark.timeout(500)
def test_bodies(api: Api, cast: Cast, owned: Owned, provider: Callable[..., Scripted]) -> None:
    calls, alice, found, cases = provider(completion()).calls, api.as_(cast.alice), [], 0
    before = owned.now()
    for key, details in OPERATIONS:
        if wrong.json_body(details) is None:
            continue
        path, good = filled(key, owned), example(details)
        for field, value in [*wrong.of_body(details), ("nonsense", 1)]:
            cases += 1
            response = alice.request(key[0], path, json={**good, field: value})
            if not refused(path, response, {field}):
                asked = f"{key[0]} {key[1]} {shown({field: value})}"
                found.append(f"{asked}: {response.status_code} {response.text[:200]}")
    assert not found, "\n".join(found)
    assert (owned.now(), len(calls)) == (before, 0)
    assert cases > 1000


def is_list(details: dict[str, Any]) -> bool:
    """Lists and figures: what takes parameters, or answers an array."""
    if any(parameter["in"] == "query" for parameter in details["parameters"]):
        return True
    media = details["responses"].get("200", {}).get("content", {}).get("application/json", {})
    return bool(wrong.whole(media.get("schema", {})).get("type") == "array")


def filled(key: Key, own: Owned) -> str:
    """The path with ids that are Alice's."""
    method, path = key
    if "{" not in path:
        return path
    kind = KINDS.get((method, re.sub(r"\{\w+\}", "{}", path)))
    values = iter(own.ids(kind)[0][0] if kind else (EVERYBODYS[path],))
    return re.sub(r"\{\w+\}", lambda _: next(values), path)


def required(details: dict[str, Any]) -> dict[str, str]:
    names = [one["name"] for one in details["parameters"] if one["in"] == "query" and one.get("required")]
    return {name: REQUIRED[name] for name in names}


def example(details: dict[str, Any]) -> dict[str, Any]:
    """A body that would be taken."""
    found = details["requestBody"]["content"]["application/json"].get("example", {})
    return {name: value for name, value in found.items() if name not in FOREIGN}


def queries(details: dict[str, Any]) -> Iterator[tuple[dict[str, str], set[str]]]:
    """(query, one of which parameters the refusal must name)."""
    good = required(details)
    yield {**good, "nonsense": "1"}, {"nonsense"}
    known = [one for one in details["parameters"] if one["in"] == "query"]
    names = {parameter["name"] for parameter in known}
    for parameter in known:
        for text in wrong.of_query(parameter):
            yield {**good, parameter["name"]: text}, {parameter["name"]}
    for name, texts in MISSHAPEN.items():
        for text in texts if name in names else ():
            yield {**good, name: text}, {name}
    for one, other, query in wrong.crossing(known):
        yield {**good, **query}, {one, other}


#: Texts whose form the document does not tell.
MISSHAPEN = {
    "ordering": ("nonsense", "id,nonsense", "-", "--created_at"),
    "cursor": ("nonsense", "W10", "bnVsbA", "e30"),
    "month": ("2026-13", "2026-00", "2026-1", "0000-01"),
}


def refused(path: str, response: Any, names: set[str]) -> bool:
    """A clear 400 that names the field; or what is told of ids and secrets that are nobody's.

    A dry run answers 200 with the errors by field.
    """
    if path == "/ai/jobs/validate/":
        return bool(names <= set(response.json()["errors"]))
    if response.status_code == 400:
        text = response.text
        return bool(names & wrong.named_in(path, response.json())) or any(
            f"'{name}'" in text for name in names
        )
    return bool(names & OTHERWISE.get(response.status_code, set()))


def shown(asked: dict[str, Any]) -> str:
    return repr(asked)[:90]
