"""``/auth/token/…`` and ``/auth/me/``."""

from __future__ import annotations

import base64
import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import jwt
import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext

from megahub.audit.models import AuditEntry
from megahub.kernel import cache, clock
from megahub.tenancy import members, selectors, services
from megahub.tenancy.models import Brand, Membership, RefreshToken, SignIn, User
from megahub.tenancy.selectors import forget_callers
from tests import world
from tests.conftest import Api
from tests.world import Cast

PASSWORD = "correct horse"


def pair(api: Api, cast: Cast) -> dict[str, str]:
    body = {"username": cast.alice.user.username, "password": PASSWORD}
    response = api.post("/auth/token/", body)
    assert response.status_code == 200
    return dict(response.json())


def forged(cast: Cast, **changes: Any) -> str:
    """A token as ours, but for ``changes``; ``key`` and ``algorithm`` sign it, None drops a claim."""
    claims: dict[str, Any] = jwt.decode(cast.alice.token, options={"verify_signature": False})
    key = changes.pop("key", settings.HUB_JWT_KEY)
    algorithm = changes.pop("algorithm", "HS256")
    headers = changes.pop("headers", None)
    claims.update(changes)
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(claims, key, algorithm=algorithm, headers=headers)


def test_it_works(api: Api, cast: Cast) -> None:
    tokens = pair(api, cast)

    assert set(tokens) == {"access", "refresh"}
    me = api.as_(tokens["access"]).get("/auth/me/")
    assert me.status_code == 200
    reference = {"id": cast.company.pk, "name": cast.company.name}
    brand = {"id": cast.brand.pk, "name": cast.brand.name}
    assert me.json() == {
        "id": cast.alice.user.pk,
        "username": cast.alice.user.username,
        "email": "",
        "language": None,
        "role": "owner",
        "scopes": sorted(cast.alice.caller.scopes),
        "company": reference,
        "brand": brand,
        "companies": [{**reference, "role": "owner", "brands": [{**brand, "is_default": True}]}],
    }


@pytest.mark.parametrize("body", [{"username": "nobody-here", "password": "x"}, "wrong password"])
def test_a_wrong_name_and_a_wrong_password_are_answered_alike(api: Api, cast: Cast, body: Any) -> None:
    if isinstance(body, str):
        body = {"username": cast.alice.user.username, "password": body}

    response = api.post("/auth/token/", body)

    assert response.status_code == 401
    text = "No active account was found with these credentials."
    assert response.json() == {"detail": text, "error": text, "error_code": "INVALID_CREDENTIALS"}


def test_missing_fields_are_named(api: Api) -> None:
    response = api.post("/auth/token/", {"username": "alice"})

    assert response.status_code == 400
    assert response.json()["error_code"] == "VALIDATION_ERROR"
    assert response.json()["field_errors"] == {"password": ["This field is required."]}


class TestRefresh:
    def test_each_refresh_token_is_good_once(self, api: Api, cast: Cast) -> None:
        first = pair(api, cast)
        second = api.post("/auth/token/refresh/", {"refresh": first["refresh"]})
        again = api.post("/auth/token/refresh/", {"refresh": first["refresh"]})

        assert second.status_code == 200
        assert second.json()["refresh"] != first["refresh"]
        assert again.status_code == 401
        assert again.json()["error_code"] == "TOKEN_REVOKED"
        # A close race costs the loser its request, not its sign-in.
        third = api.post("/auth/token/refresh/", {"refresh": second.json()["refresh"]})
        assert third.status_code == 200

    def test_using_it_again_later_revokes_the_whole_family(self, api: Api, cast: Cast) -> None:
        first = pair(api, cast)
        second = api.post("/auth/token/refresh/", {"refresh": first["refresh"]}).json()
        RefreshToken.objects.filter(sign_in__user=cast.alice.user).exclude(used_at=None).update(
            used_at=clock.now() - timedelta(minutes=1)
        )

        stolen = api.post("/auth/token/refresh/", {"refresh": first["refresh"]})

        assert stolen.status_code == 401
        honest = api.post("/auth/token/refresh/", {"refresh": second["refresh"]})
        assert honest.status_code == 401
        assert api.as_(second["access"]).get("/auth/me/").status_code == 401

    def test_of_many_at_once_one_wins(self, api: Api, cast: Cast) -> None:
        body = {"refresh": pair(api, cast)["refresh"]}

        with ThreadPoolExecutor(20) as pool:
            answers = list(
                pool.map(lambda _: api.post("/auth/token/refresh/", body).status_code, range(40))
            )

        assert sorted(answers) == [200] + [401] * 39

    def test_an_access_token_is_no_refresh_token(self, api: Api, cast: Cast) -> None:
        response = api.post("/auth/token/refresh/", {"refresh": cast.alice.token})

        assert response.status_code == 401

    def test_only_digests_are_stored(self, api: Api, cast: Cast) -> None:
        refresh = pair(api, cast)["refresh"]

        stored = RefreshToken.objects.filter(sign_in__user=cast.alice.user).values()
        assert refresh not in str(list(stored))


class TestRevocation:
    def test_revoking_ends_the_access_tokens_too(self, api: Api, cast: Cast) -> None:
        tokens = pair(api, cast)
        assert api.as_(tokens["access"]).get("/auth/me/").status_code == 200

        response = api.post("/auth/token/revoke/", {"refresh": tokens["refresh"]})

        assert response.status_code == 200
        after = api.as_(tokens["access"]).get("/auth/me/")
        assert (after.status_code, after.json()["error_code"]) == (401, "TOKEN_REVOKED")
        again = api.post("/auth/token/refresh/", {"refresh": tokens["refresh"]})
        assert again.status_code == 401

    def test_a_new_password_ends_every_session(self, api: Api, cast: Cast) -> None:
        cast.alice.user.set_password("another horse")
        cast.alice.user.save(update_fields=["password"])
        forget_callers()

        response = api.as_(cast.alice).get("/auth/me/")

        assert (response.status_code, response.json()["error_code"]) == (401, "TOKEN_REVOKED")

    def test_a_disabled_user_is_out(self, api: Api, cast: Cast) -> None:
        cast.alice.user.is_active = False
        cast.alice.user.save(update_fields=["is_active"])
        forget_callers()

        assert api.as_(cast.alice).get("/auth/me/").status_code == 401

    def test_it_is_felt_within_seconds_even_without_being_told(
        self, api: Api, cast: Cast, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Another process revoked: this one asks the database again once its memory has run out."""
        assert api.as_(cast.alice).get("/auth/me/").status_code == 200
        SignIn.objects.filter(user=cast.alice.user).update(revoked_at=clock.now())
        real = time.monotonic

        monkeypatch.setattr(cache.time, "monotonic", lambda: real() + 5.01)

        assert api.as_(cast.alice).get("/auth/me/").status_code == 401


class TestForgeries:
    def test_ours_is_good(self, api: Api, cast: Cast) -> None:
        assert api.as_(forged(cast)).get("/auth/me/").status_code == 200

    @pytest.mark.parametrize(
        "changes",
        [
            {"key": "x" * 64},
            {"algorithm": "HS512"},
            {"iss": "somebody"},
            {"iss": None},
            {"aud": "somebody"},
            {"aud": None},
            {"exp": None},
            {"jti": None},
            {"token_type": "refresh"},
            {"token_type": None},
            {"sid": None},
            {"ver": None},
            {"ver": 999},
            {"user_id": None},
            {"user_id": "1 OR 1=1"},
            {"headers": {"crit": ["exp"]}},
        ],
    )
    def test_anything_else_is_not(self, api: Api, cast: Cast, changes: dict[str, Any]) -> None:
        assert api.as_(forged(cast, **changes)).get("/auth/me/").status_code == 401

    def test_none_is_no_algorithm(self, api: Api, cast: Cast) -> None:
        head = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "JWT"}).encode())
        claims = cast.alice.token.split(".")[1]

        response = api.as_(f"{head.decode().rstrip('=')}.{claims}.").get("/auth/me/")

        assert response.status_code == 401

    def test_an_expired_token_says_so(self, api: Api, cast: Cast) -> None:
        past = int((clock.now() - timedelta(seconds=1)).timestamp())

        response = api.as_(forged(cast, exp=past)).get("/auth/me/")

        assert (response.status_code, response.json()["error_code"]) == (401, "TOKEN_EXPIRED")

    @pytest.mark.parametrize(
        "header",
        ["Bearer", "Basic YTpi", "Bearer ' OR pg_sleep(5)--", "Bearer a.b.c", "Token x"],
    )
    @pytest.mark.parametrize("path", ["/auth/me/", "/v1/models", "/ai/jobs/"])
    def test_what_is_no_token_is_refused(self, api: Api, header: str, path: str) -> None:
        response = api.get(path, headers={"Authorization": header})

        assert response.status_code == 401
        assert response.headers["www-authenticate"] == 'Bearer realm="megahub"'


class TestVerify:
    def test_a_good_token(self, api: Api, cast: Cast) -> None:
        response = api.post("/auth/token/verify/", {"token": cast.alice.token})

        assert (response.status_code, response.json()) == (200, {})

    def test_a_bad_one(self, api: Api) -> None:
        assert api.post("/auth/token/verify/", {"token": "a.b.c"}).status_code == 401


class TestBrands:
    def test_the_only_brand_is_assumed(self, api: Api, cast: Cast) -> None:
        membership = cast.alice.user.memberships.get()
        membership.default_brand = None
        membership.save(update_fields=["default_brand"])

        me = api.as_(cast.alice).get("/auth/me/").json()

        assert me["brand"]["id"] == cast.brand.pk

    def test_among_several_one_must_be_named(self, api: Api, cast: Cast) -> None:
        membership = cast.alice.user.memberships.get()
        membership.default_brand = None
        membership.save(update_fields=["default_brand"])
        other = cast.company.brands.create(name="Other", company=cast.company)

        without = api.as_(cast.alice).get("/ai/jobs/")
        named = api.as_(cast.alice, x_brand_id=str(other.pk)).get("/ai/jobs/")

        assert (without.status_code, without.json()["error_code"]) == (403, "BRAND_REQUIRED")
        assert named.status_code == 200

    def test_a_foreign_brand_is_answered_as_an_absent_one(self, api: Api, cast: Cast) -> None:
        foreign = str(cast.charlie.brand.pk)
        absent = "9" * len(foreign) if foreign != "9" * len(foreign) else "8" * len(foreign)

        answers = [api.as_(cast.alice, x_brand_id=brand).get("/ai/jobs/") for brand in (foreign, absent)]

        assert [answer.status_code for answer in answers] == [404, 404]
        assert answers[0].text.replace(foreign, "?") == answers[1].text.replace(absent, "?")
        assert answers[0].json()["error_code"] == "BRAND_NOT_FOUND"

    def test_a_brand_that_the_membership_does_not_name(self, api: Api, cast: Cast) -> None:
        other = cast.company.brands.create(name="Other", company=cast.company)
        membership = cast.bob.user.memberships.get()
        membership.brands.set([cast.brand])

        response = api.as_(cast.bob, x_brand_id=str(other.pk)).get("/ai/jobs/")

        assert response.status_code == 404

    def test_a_default_brand_that_the_membership_does_not_name(self, api: Api, cast: Cast) -> None:
        other = cast.company.brands.create(name="Other", company=cast.company)
        membership = cast.bob.user.memberships.get()
        membership.brands.set([other])
        assert membership.default_brand == cast.brand

        me = api.as_(cast.bob).get("/auth/me/").json()

        assert me["brand"]["id"] == other.pk

    def test_all_that_may_be_entered_is_looked_up_at_once(self, cast: Cast) -> None:
        closed = Brand.objects.unscoped().create(company=cast.company, name="Closed", is_active=False)
        other = Brand.objects.unscoped().create(company=cast.company, name="Other")
        elsewhere = world.make_person(
            f"{cast.bob.user.username}-x", cast.charlie.company, cast.charlie.brand, "member"
        )
        Membership.objects.unscoped().filter(user=elsewhere.user).update(user=cast.bob.user)
        own, second = Membership.objects.unscoped().filter(user=cast.bob.user).order_by("pk")

        with CaptureQueriesContext(connection) as asked:
            every = selectors.entered_by([own, second])
        own.brands.set([other, closed])
        bound = selectors.entered_by([own, second])

        assert len([each for each in asked if each["sql"].startswith("SELECT")]) == 2
        assert every == {own.pk: [cast.brand, other], second.pk: [cast.charlie.brand]}
        assert bound == {own.pk: [other], second.pk: [cast.charlie.brand]}

    @pytest.mark.parametrize("brand", ["x", "-1", "1.5", "9" * 30, "1 OR 1=1"])
    def test_what_is_no_id(self, api: Api, cast: Cast, brand: str) -> None:
        response = api.as_(cast.alice, x_brand_id=brand).get("/v1/models")

        assert response.status_code == 404
        assert response.json()["error"]["code"] == "brand_not_found"


def test_expired_tokens_are_forgotten(cast: Cast) -> None:
    services.sign_in(cast.alice.user.username, PASSWORD)
    rows = RefreshToken.objects.filter(sign_in__user=cast.alice.user)
    rows.update(expires_at=clock.now() - timedelta(days=1))

    services.forget_expired()

    assert not rows.exists()
    assert not SignIn.objects.filter(user=cast.alice.user, refresh_tokens__isnull=False).exists()


def test_a_member_of_nothing(api: Api, cast: Cast) -> None:
    cast.alice.user.memberships.all().delete()
    forget_callers()

    response = api.as_(cast.alice).get("/auth/me/")

    assert (response.status_code, response.json()["error_code"]) == (403, "PERMISSION_DENIED")


def test_an_inactive_company_is_closed(api: Api, cast: Cast) -> None:
    cast.company.is_active = False
    cast.company.save(update_fields=["is_active"])
    forget_callers()

    assert api.as_(cast.alice).get("/auth/me/").status_code == 403


class TestLanguage:
    """What mails to a person are written in, chosen by themselves."""

    def test_it_works(self, api: Api, cast: Cast) -> None:
        bob = api.as_(cast.bob)

        chosen = bob.request("PATCH", "/auth/me/", json={"language": "fr"})

        assert (chosen.status_code, chosen.json()["language"]) == (200, "fr")
        assert chosen.json() == bob.get("/auth/me/").json()
        assert members.by_language(cast.company, ["x@example.com"]) == {"en": ["x@example.com"]}
        User.objects.filter(pk=cast.bob.user.pk).update(email="x@example.com")
        assert members.by_language(cast.company, ["x@example.com"]) == {"fr": ["x@example.com"]}
        entry = AuditEntry.objects.of(cast.company.pk).get(action="user.change")
        assert (entry.before, entry.after) == ({"language": ""}, {"language": "fr"})

    def test_none_is_the_companys(self, api: Api, cast: Cast) -> None:
        bob = api.as_(cast.bob)
        bob.request("PATCH", "/auth/me/", json={"language": "fr"})

        kept = bob.request("PATCH", "/auth/me/", json={}).json()["language"]
        none = bob.request("PATCH", "/auth/me/", json={"language": None}).json()["language"]

        assert (kept, none) == ("fr", None)
        assert User.objects.get(pk=cast.bob.user.pk).language == ""

    @pytest.mark.parametrize(
        ("body", "field"),
        [({"language": "xx"}, "language"), ({"language": ""}, "language"), ({"language": 1}, "language")],
    )
    def test_what_is_none_is_refused(self, api: Api, cast: Cast, body: Any, field: str) -> None:
        answer = api.as_(cast.bob).request("PATCH", "/auth/me/", json=body)

        assert (answer.status_code, list(answer.json()["field_errors"])) == (400, [field])

    def test_nothing_else_is_changed(self, api: Api, cast: Cast) -> None:
        for body in ({"email": "x@example.com"}, {"role": "owner"}, {"is_staff": True}):
            answer = api.as_(cast.bob).request("PATCH", "/auth/me/", json=body)
            assert (answer.status_code, answer.json()["error_code"]) == (400, "UNKNOWN_PARAMETER")

    def test_keys_may_not(self, api: Api, cast: Cast) -> None:
        answer = api.as_(cast.bob.api_key()).request("PATCH", "/auth/me/", json={"language": "fr"})

        assert answer.status_code == 403
        assert User.objects.get(pk=cast.bob.user.pk).language == ""
