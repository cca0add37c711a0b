"""``/auth/totp/…``: one's own second factor, and what ``HUB_TOTP=required`` means for tokens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value, yield_hotp_counters_from_time
from django.conf import settings

from megahub.audit.models import AuditEntry
from megahub.kernel import cache
from megahub.tenancy import own_factor
from megahub.tenancy.models import SignIn, Throttle, User
from tests.conftest import Api
from tests.world import Cast, Person

PASSWORD = "correct horse"


@pytest.fixture(autouse=True)
def policy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(settings, "HUB_TOTP", "optional")
    yield
    cache.forget_everything()


def code_for(secret: str) -> str:
    """What the app shows now."""
    return str(format_hotp_value(hotp_value(secret, next(yield_hotp_counters_from_time()))))


def begun(api: Api, person: Person | str) -> dict[str, Any]:
    response = api.as_(person).post("/auth/totp/", {"password": PASSWORD})
    assert response.status_code == 200, response.text
    return dict(response.json())


def set_up(api: Api, person: Person) -> dict[str, Any]:
    """What confirming it answered."""
    told = begun(api, person)
    body = {"setup": told["setup"], "code": code_for(told["secret"])}
    response = api.as_(person).post("/auth/totp/confirm/", body)
    assert response.status_code == 201, response.text
    return dict(response.json())


def sign_in(api: Api, person: Person, **more: str) -> Any:
    return api.post("/auth/token/", {"username": person.user.username, "password": PASSWORD, **more})


def entries(cast: Cast, action: str) -> int:
    return int(AuditEntry.objects.of(cast.company.pk).filter(action=action).count())


def test_it_works(api: Api, cast: Cast) -> None:
    """Bob is no staff, and a member only."""
    off = api.as_(cast.bob).get("/auth/totp/").json()
    assert off == {
        "policy": "optional",
        "is_required": False,
        "is_on": False,
        "created_at": None,
        "last_used_at": None,
        "recovery_codes_left": None,
    }
    told = begun(api, cast.bob)
    assert set(told) == {"setup", "secret", "url"}
    assert told["url"].startswith("otpauth://totp/")
    assert f"secret={told['secret']}" in told["url"]
    assert sign_in(api, cast.bob).status_code == 200  # nothing is asked for yet
    assert not Authenticator.objects.filter(user=cast.bob.user).exists()

    body = {"setup": told["setup"], "code": code_for(told["secret"])}
    answer = api.as_(cast.bob).post("/auth/totp/confirm/", body)

    assert answer.status_code == 201
    done = answer.json()
    assert set(done) == {"access", "refresh", "recovery_codes"}
    assert len(set(done["recovery_codes"])) == 10
    on = api.as_(done["access"]).get("/auth/totp/").json()
    assert (on["is_on"], on["recovery_codes_left"], on["last_used_at"]) == (True, 10, None)
    assert entries(cast, "second_factor.add") == 1
    assert sign_in(api, cast.bob).json()["error_code"] == "OTP_REQUIRED"
    Throttle.objects.all().delete()  # half a minute later: the code that confirmed it was used
    code = code_for(told["secret"])
    assert [sign_in(api, cast.bob, otp=code).status_code for _ in range(2)] == [200, 401]
    assert sign_in(api, cast.bob, otp=done["recovery_codes"][0]).status_code == 200
    left = api.as_(done["access"]).get("/auth/totp/").json()
    assert left["recovery_codes_left"] == 9
    assert left["last_used_at"] is not None


def test_every_sign_in_of_before_ends(api: Api, cast: Cast) -> None:
    before = sign_in(api, cast.bob).json()

    done = set_up(api, cast.bob)

    for token in (before["access"], cast.bob.token):
        assert api.as_(token).get("/auth/me/").json()["error_code"] == "TOKEN_REVOKED"
    again = api.post("/auth/token/refresh/", {"refresh": before["refresh"]})
    assert (again.status_code, again.json()["error_code"]) == (401, "TOKEN_REVOKED")
    assert api.as_(done["access"]).get("/auth/me/").status_code == 200
    assert api.post("/auth/token/refresh/", {"refresh": done["refresh"]}).status_code == 200


def test_new_recovery_codes(api: Api, cast: Cast) -> None:
    done = set_up(api, cast.bob)
    client = api.as_(done["access"])
    proof = {"password": PASSWORD, "otp": done["recovery_codes"][9]}

    answer = client.post("/auth/totp/recovery-codes/", proof)

    assert answer.status_code == 200
    fresh = answer.json()["recovery_codes"]
    assert len(fresh) == 10
    assert not set(fresh) & set(done["recovery_codes"])
    assert sign_in(api, cast.bob, otp=done["recovery_codes"][0]).json()["error_code"] == "INVALID_OTP"
    assert sign_in(api, cast.bob, otp=fresh[0]).status_code == 200
    assert entries(cast, "second_factor.renew_codes") == 1


def test_putting_it_down(api: Api, cast: Cast) -> None:
    done = set_up(api, cast.bob)
    proof = {"password": PASSWORD, "otp": done["recovery_codes"][3]}

    answer = api.as_(done["access"]).post("/auth/totp/remove/", proof)

    assert (answer.status_code, answer.json()["is_on"]) == (200, False)
    assert not Authenticator.objects.filter(user=cast.bob.user).exists()
    assert sign_in(api, cast.bob).status_code == 200
    assert entries(cast, "second_factor.remove") == 1


class TestRefusals:
    @pytest.mark.parametrize("path", ["recovery-codes", "remove"])
    @pytest.mark.parametrize(
        ("proof", "field"),
        [({"password": "wrong"}, "password"), ({"otp": "000000"}, "otp"), ({"otp": "00000000"}, "otp")],
    )
    def test_both_are_asked_for(
        self, api: Api, cast: Cast, path: str, proof: dict[str, str], field: str
    ) -> None:
        done = set_up(api, cast.bob)
        body = {"password": PASSWORD, "otp": done["recovery_codes"][0], **proof}

        answer = api.as_(done["access"]).post(f"/auth/totp/{path}/", body)

        assert (answer.status_code, list(answer.json()["field_errors"])) == (400, [field])
        assert Authenticator.objects.filter(user=cast.bob.user).count() == 2

    def test_a_setup_is_its_persons_for_a_while(
        self, api: Api, cast: Cast, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        told = begun(api, cast.bob)
        body = {"setup": told["setup"], "code": code_for(told["secret"])}

        others = api.as_(cast.alice).post("/auth/totp/confirm/", body)
        forged = api.as_(cast.bob).post("/auth/totp/confirm/", {**body, "setup": "x" + told["setup"]})
        wrong = api.as_(cast.bob).post("/auth/totp/confirm/", {**body, "code": "000000"})
        monkeypatch.setattr(own_factor, "SETUP_SECONDS", -1)
        late = api.as_(cast.bob).post("/auth/totp/confirm/", body)

        said = [
            (each.status_code, list(each.json()["field_errors"])) for each in (others, forged, wrong, late)
        ]
        assert said == [(400, ["setup"]), (400, ["setup"]), (400, ["code"]), (400, ["setup"])]
        assert (
            not Authenticator.objects.exclude(user=cast.charlie.user)
            .filter(user__in=[cast.alice.user, cast.bob.user])
            .exists()
        )

    def test_one_is_set_up_once(self, api: Api, cast: Cast) -> None:
        first, second = begun(api, cast.bob), begun(api, cast.bob)
        client = api.as_(cast.bob)
        body = {"setup": first["setup"], "code": code_for(first["secret"])}
        token = client.post("/auth/totp/confirm/", body).json()["access"]

        body = {"setup": second["setup"], "code": code_for(second["secret"])}
        again = api.as_(token).post("/auth/totp/confirm/", body)
        anew = api.as_(token).post("/auth/totp/", {"password": PASSWORD})

        assert [each.status_code for each in (again, anew)] == [409, 409]
        assert Authenticator.objects.filter(user=cast.bob.user, type="totp").count() == 1

    def test_passwords_and_codes_are_not_guessed(
        self, api: Api, cast: Cast, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(settings, "HUB_SIGN_IN_LIMIT", 3)
        told = begun(api, cast.bob)
        client = api.as_(cast.bob)

        passwords = [client.post("/auth/totp/", {"password": f"{n}"}).status_code for n in range(4)]
        body = {"setup": told["setup"], "code": "000000"}
        codes = [client.post("/auth/totp/confirm/", body).status_code for _ in range(4)]

        assert passwords == codes == [400, 400, 400, 429]

    def test_keys_may_not(self, api: Api, cast: Cast) -> None:
        client = api.as_(cast.bob.api_key())
        proof = {"password": PASSWORD, "otp": "123456"}

        answers = [
            client.get("/auth/totp/"),
            client.post("/auth/totp/", {"password": PASSWORD}),
            client.post("/auth/totp/confirm/", {"setup": "x", "code": "1"}),
            client.post("/auth/totp/recovery-codes/", proof),
            client.post("/auth/totp/remove/", proof),
        ]

        assert [each.status_code for each in answers] == [403] * 5

    def test_where_there_are_none(self, api: Api, cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
        done = set_up(api, cast.bob)
        monkeypatch.setattr(settings, "HUB_TOTP", "off")

        client = api.as_(done["access"])
        state = client.get("/auth/totp/").json()
        proof = {"password": PASSWORD, "otp": done["recovery_codes"][0]}

        assert (state["policy"], state["is_on"]) == ("off", False)
        assert client.post("/auth/totp/", {"password": PASSWORD}).status_code == 409
        assert client.post("/auth/totp/recovery-codes/", proof).status_code == 409
        assert sign_in(api, cast.bob).status_code == 200


class TestRequired:
    """Of staff: a password alone opens nothing, whichever way it goes."""

    WHERE = f"{settings.HUB_PUBLIC_URL}/accounts/2fa/totp/activate/"

    @pytest.fixture
    def before(self, api: Api, cast: Cast, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
        """What Alice, who is staff, had got for her password before it was required."""
        User.objects.filter(pk=cast.alice.user.pk).update(is_staff=True)
        pair = {**sign_in(api, cast.alice).json(), "key": cast.alice.api_key()}
        monkeypatch.setattr(settings, "HUB_TOTP", "required")
        cache.forget_everything()
        return pair

    def refused(self, answer: Any) -> None:
        told = answer.json()
        assert (answer.status_code, told["error_code"]) == (403, "SECOND_FACTOR_MISSING")
        assert told["set_up_at"] == self.WHERE
        assert self.WHERE in told["detail"]

    def test_a_password_is_not_enough(self, api: Api, cast: Cast, before: dict[str, Any]) -> None:
        sign_ins = SignIn.objects.filter(user=cast.alice.user).count()

        self.refused(sign_in(api, cast.alice))
        self.refused(sign_in(api, cast.alice, otp="123456"))

        assert SignIn.objects.filter(user=cast.alice.user).count() == sign_ins

    def test_who_does_not_know_it_learns_nothing(
        self, api: Api, cast: Cast, before: dict[str, Any]
    ) -> None:
        names = (cast.alice.user.username, cast.bob.user.username, "nobody-at-all")
        said = [api.post("/auth/token/", {"username": name, "password": "wrong"}) for name in names]

        assert [each.status_code for each in said] == [401] * 3
        assert len({each.json()["detail"] for each in said}) == 1

    def test_tokens_of_before_are_no_way_round(self, api: Api, cast: Cast, before: dict[str, Any]) -> None:
        client = api.as_(before["access"])

        self.refused(client.get("/auth/me/"))
        self.refused(client.get("/ai/jobs/"))
        self.refused(client.post("/auth/keys/", {"name": "k"}))
        self.refused(api.post("/auth/token/verify/", {"token": before["access"]}))
        self.refused(api.post("/auth/token/refresh/", {"refresh": before["refresh"]}))
        fast = client.post("/v1/chat/completions", {"model": "gpt-4o-mini", "messages": []})
        assert fast.status_code == 403
        assert fast.json()["error"]["code"] == "second_factor_missing"

    def test_a_refresh_token_is_not_used_up_by_it(
        self, api: Api, cast: Cast, before: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.refused(api.post("/auth/token/refresh/", {"refresh": before["refresh"]}))
        monkeypatch.setattr(settings, "HUB_TOTP", "optional")

        assert api.post("/auth/token/refresh/", {"refresh": before["refresh"]}).status_code == 200

    def test_others_do_without(self, api: Api, cast: Cast, before: dict[str, Any]) -> None:
        assert sign_in(api, cast.bob).status_code == 200
        assert api.as_(cast.bob).get("/auth/me/").status_code == 200

    def test_a_key_is_a_secret_of_its_own(self, api: Api, cast: Cast, before: dict[str, Any]) -> None:
        assert api.as_(before["key"]).get("/auth/me/").status_code == 200

    def test_staff_keeps_it(self, api: Api, cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
        done = set_up(api, cast.bob)
        User.objects.filter(pk=cast.bob.user.pk).update(is_staff=True)
        monkeypatch.setattr(settings, "HUB_TOTP", "required")
        cache.forget_everything()
        proof = {"password": PASSWORD, "otp": done["recovery_codes"][0]}

        answer = api.as_(done["access"]).post("/auth/totp/remove/", proof)

        assert answer.status_code == 409
        assert self.WHERE in answer.json()["detail"]
        assert api.as_(done["access"]).get("/auth/totp/").json()["is_required"] is True
        assert Authenticator.objects.filter(user=cast.bob.user, type="totp").exists()
