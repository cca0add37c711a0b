"""Requirement 5: object-level authorisation. The full matrix is tests/test_isolation.py's and its kin's;
here are the ways round it that other gateways had."""

from __future__ import annotations

from tests import world
from tests.conftest import Api
from tests.world import Cast


def test_a_brand_of_another_company_opens_nothing(api: Api, cast: Cast) -> None:
    """CVE-2024-5710: the caller names whose rows it wants."""
    theirs = str(cast.brand.pk)
    for headers in ({"x_brand_id": theirs}, {"X_BRAND_ID": theirs}):
        response = api.as_(cast.charlie, **headers).get("/ai/jobs/")
        assert response.status_code == 404
    # No underscore header is taken for the real one (CVE-2026-3902).
    response = api.as_(cast.charlie).request("GET", "/ai/jobs/", headers={"X_Brand_ID": theirs})
    assert (response.status_code, response.json()["count"]) == (200, 0)


def test_an_idempotency_key_of_another_company_replays_nothing(api: Api, cast: Cast) -> None:
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Canary"}]}
    key = {"Idempotency-Key": "same-for-both"}
    ours = api.as_(cast.alice).post("/v1/chat/completions", body, headers=key)
    theirs = api.as_(cast.charlie).post("/v1/chat/completions", body, headers=key)

    assert (ours.status_code, theirs.status_code) == (200, 200)
    assert "idempotency-replayed" not in theirs.headers
    assert ours.headers["x-megahub-job-id"] != theirs.headers["x-megahub-job-id"]


def test_a_query_that_names_a_company_is_refused(api: Api, cast: Cast) -> None:
    world.submit(cast.alice, "Canary", later=True)

    for name in ("company", "company_id", "brand__company", "created_by__memberships__company"):
        response = api.as_(cast.charlie).get(f"/ai/jobs/?{name}={cast.company.pk}")
        assert response.status_code == 400
        assert "Canary" not in response.text
