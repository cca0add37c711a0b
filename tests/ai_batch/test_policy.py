"""``/api/batch/policy``: which engine runs a company's batches that ask for none."""

from __future__ import annotations

from typing import Any

import pytest

from ai_batch.models import Batch
from ai_batch.services import ingest
from megahub.audit.models import AuditEntry
from tests.ai_batch.conftest import line
from tests.conftest import Api
from tests.world import Cast

pytestmark = pytest.mark.usefixtures("rung")
PATH = "/api/batch/policy"


def engine_of(api: Api, cast: Cast, **fields: Any) -> str:
    asked = {"endpoint": "/v1/chat/completions", "requests": [line("a")], **fields}
    tried = api.as_(cast.alice).post("/api/batch/validate", asked).json()["engine"]
    made = api.as_(cast.alice).post("/api/batch/create", asked).json()["batch"]
    batch = Batch.objects.unscoped().get(batch_id=made["id"])
    ingest.validate(batch.pk)
    batch.refresh_from_db()
    assert batch.engine == tried
    return batch.engine


def test_it_works(api: Api, cast: Cast) -> None:
    alice = api.as_(cast.alice)
    assert alice.get(PATH).json() == {"success": True, "engine": "auto"}
    assert engine_of(api, cast) == "provider"
    assert alice.request("PUT", PATH, json={"engine": "hub"}).json() == {"success": True, "engine": "hub"}
    assert engine_of(api, cast) == "hub"
    assert engine_of(api, cast, engine="provider") == "provider"
    assert api.as_(cast.charlie).get(PATH).json()["engine"] == "auto"


def test_a_wish_where_the_provider_cannot(api: Api, cast: Cast) -> None:
    api.as_(cast.alice).request("PUT", PATH, json={"engine": "provider"})
    model = "mistralai/Mistral-Small-4-119B-2603"
    assert engine_of(api, cast, requests=[line("a", model=model)]) == "hub"


def test_only_administrators_change_it(api: Api, cast: Cast) -> None:
    bob = api.as_(cast.bob)
    assert bob.get(PATH).status_code == 200
    assert bob.request("PUT", PATH, json={"engine": "hub"}).status_code == 403
    assert api.as_(cast.alice).get(PATH).json()["engine"] == "auto"


def test_it_is_in_the_trail(api: Api, cast: Cast) -> None:
    api.as_(cast.alice).request("PUT", PATH, json={"engine": "hub"})
    entry = AuditEntry.objects.of(cast.company.pk).get(action="batch_policy.change")
    assert (entry.before["batch_engine"], entry.after["batch_engine"]) == ("auto", "hub")


@pytest.mark.parametrize("body", [{}, {"engine": "fast"}, {"engine": 1}, {"engine": "hub", "colour": 1}])
def test_bad_bodies(api: Api, cast: Cast, body: dict[str, Any]) -> None:
    assert api.as_(cast.alice).request("PUT", PATH, json=body).status_code == 400
    assert api.as_(cast.alice).get(PATH).json()["engine"] == "auto"
