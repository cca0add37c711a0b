"""The admin's door with a second factor and a provider of identities.

They are settings of an installation, so these tests run in a process of their own that has them:
tests/tenancy/test_signing_in.py starts it.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from megahub.audit.models import AuditEntry
from megahub.kernel import clock
from megahub.tenancy import second_factors, tokens
from megahub.tenancy.models import Company, Invitation, Membership, SignIn, User
from tests.accounts import identities
from tests.accounts.identities import Provider

pytestmark = pytest.mark.skipif(
    not settings.HUB_ACCOUNTS, reason="tests/tenancy/test_signing_in.py runs them"
)
if settings.HUB_ACCOUNTS:
    from allauth.mfa.models import Authenticator
    from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value, yield_hotp_counters_from_time
    from allauth.socialaccount.models import SocialAccount

    from megahub.tenancy.signing_in import SecondFactors

PASSWORD = "correct horse battery"
numbers = itertools.count(1)


@pytest.fixture
def root() -> User:
    number = next(numbers)
    return User.objects.create_superuser(
        f"root{number}", email=f"root{number}@example.com", password=PASSWORD
    )


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with identities.serving(settings.HUB_OIDC_URL) as found:
        yield found


def secret_of(row: Any) -> str:
    return str(SecondFactors().decrypt(row.data["secret"]))


def code_for(secret: str) -> str:
    """What the app on their phone shows."""
    return codes_for(secret)[0]


def codes_for(secret: str) -> list[str]:
    """All that are good now; setting up takes the first one."""
    return [str(format_hotp_value(hotp_value(secret, each))) for each in yield_hotp_counters_from_time()]


def sign_in(user: User, password: str = PASSWORD) -> tuple[Client, Any]:
    client = Client()
    return client, client.post(
        "/accounts/login/?next=/admin/", {"login": user.username, "password": password}
    )


def activated(client: Client) -> str:
    """Set a second factor up, which asks for the password once more: its secret."""
    again = client.get("/accounts/2fa/totp/activate/")
    assert again["Location"].startswith("/accounts/reauthenticate/")
    assert client.post("/accounts/reauthenticate/", {"password": "wrong"}).status_code == 200
    assert client.post("/accounts/reauthenticate/", {"password": PASSWORD}).status_code == 302
    page = client.get("/accounts/2fa/totp/activate/")
    assert page.status_code == 200, page["Location"]
    secret = re.search(r"secret=([A-Z2-7]{16,})", unquote(page.content.decode())) or re.search(
        r'value="([A-Z2-7]{16,})"', page.content.decode()
    )
    assert secret is not None
    done = client.post("/accounts/2fa/totp/activate/", {"code": code_for(secret[1])})
    assert done.status_code == 302, done.content
    return secret[1]


class TestSecondFactor:
    def test_staff_without_one_is_led_to_it(self, root: User) -> None:
        client, answer = sign_in(root)

        assert (answer.status_code, answer["Location"]) == (302, "/admin/")
        led = client.get("/admin/")
        assert (led.status_code, led["Location"]) == (302, "/accounts/2fa/totp/activate/")
        activated(client)
        assert client.get("/admin/").status_code == 200

    def test_a_session_of_before_shows_it_first(self, root: User) -> None:
        """One that a password had been enough for, open while its person set one up elsewhere."""
        old, _ = sign_in(root)
        secret = activated(sign_in(root)[0])

        led = old.get("/admin/tenancy/")

        assert (led.status_code, led["Location"]) == (
            302, "/accounts/2fa/reauthenticate/?next=%2Fadmin%2Ftenancy%2F",
        )  # fmt: skip
        shown = old.post(led["Location"], {"code": codes_for(secret)[-1]})
        assert (shown.status_code, shown["Location"]) == (302, "/admin/tenancy/")
        assert old.get("/admin/").status_code == 200

    def test_putting_it_down_leads_to_it_again(self, root: User) -> None:
        client, _ = sign_in(root)
        activated(client)

        assert client.post("/accounts/2fa/totp/deactivate/").status_code == 302

        assert client.get("/admin/")["Location"] == "/accounts/2fa/totp/activate/"
        actions = AuditEntry.objects.unscoped().filter(actor_id=root.pk).order_by("pk")
        assert list(actions.values_list("action", flat=True)) == [
            "second_factor.add",
            "second_factor.remove",
        ]

    def test_from_then_on_a_password_is_not_enough(self, root: User) -> None:
        secret = activated(sign_in(root)[0])

        client, answer = sign_in(root)

        assert answer["Location"].startswith("/accounts/2fa/authenticate/")
        assert client.get("/admin/")["Location"].startswith("/admin/login/")
        wrong = client.post("/accounts/2fa/authenticate/", {"code": "000000"})
        assert wrong.status_code == 200
        assert client.get("/admin/").status_code == 302
        Authenticator.objects.filter(user=root).update(last_used_at=None)
        right = client.post("/accounts/2fa/authenticate/", {"code": code_for(secret)})
        assert right.status_code in (200, 302)

    def test_codes_are_not_guessed(self, root: User) -> None:
        settings.HUB_SIGN_IN_LIMIT, before = 5, settings.HUB_SIGN_IN_LIMIT
        try:
            activated(sign_in(root)[0])
            client, _ = sign_in(root)
            said = [
                client.post("/accounts/2fa/authenticate/", {"code": f"{n:06}"}).content.decode()
                for n in range(8)
            ]
        finally:
            settings.HUB_SIGN_IN_LIMIT = before
        assert ["Too many tries" in each for each in said] == [False] * 5 + [True] * 3

    def test_a_code_is_good_once_in_every_process(self, root: User) -> None:
        secret = activated(sign_in(root)[0])
        code = codes_for(secret)[-1]
        assert second_factors.is_fresh(root, code)  # as another process would have taken it

        client, _ = sign_in(root)
        answer = client.post("/accounts/2fa/authenticate/", {"code": code})

        assert "This code was used already." in answer.content.decode()
        assert client.get("/admin/").status_code == 302

    def test_its_secret_is_sealed(self, root: User) -> None:
        secret = activated(sign_in(root)[0])

        stored = Authenticator.objects.get(user=root, type="totp").data

        assert secret not in str(stored)
        assert secret_of(Authenticator.objects.get(user=root, type="totp")) == secret


class TestTokens:
    """``/auth/token/``: the password of somebody with a second factor is half of what it takes."""

    @staticmethod
    def ask(user: User, **more: str) -> tuple[int, dict[str, Any]]:
        asked = {"username": user.username, "password": PASSWORD, **more}
        answer = Client().post("/auth/token/", asked, "application/json")
        return answer.status_code, answer.json()

    def test_without_one_a_password_is_not_enough(self, root: User) -> None:
        """The page that the answer names is where one is set up; after it there are tokens."""
        status, told = self.ask(root)

        assert (status, told["error_code"]) == (403, "SECOND_FACTOR_MISSING")
        assert told["set_up_at"] == settings.HUB_PUBLIC_URL + reverse("mfa_activate_totp")
        code = codes_for(activated(sign_in(root)[0]))[-1]
        assert self.ask(root, otp=code)[0] == 200

    def test_setting_one_up_ends_what_a_password_was_enough_for(self, root: User) -> None:
        session = SignIn.objects.create(user=root)

        activated(sign_in(root)[0])

        session.refresh_from_db()
        assert session.revoked_at is not None

    def test_it_works(self, root: User) -> None:
        code = codes_for(activated(sign_in(root)[0]))[-1]

        without, wrong = self.ask(root), self.ask(root, otp="000000")
        right, again = self.ask(root, otp=f"{code[:3]} {code[3:]}"), self.ask(root, otp=code)

        assert [told[0] for told in (without, wrong, right, again)] == [401, 401, 200, 401]
        codes = [told[1]["error_code"] for told in (without, wrong, again)]
        assert codes == ["OTP_REQUIRED", "INVALID_OTP", "INVALID_OTP"]
        assert set(right[1]) == {"access", "refresh"}
        assert SignIn.objects.filter(user=root).count() == 1

    def test_a_wrong_password_is_told_like_anybodys(self, root: User) -> None:
        code = codes_for(activated(sign_in(root)[0]))[-1]

        status, told = self.ask(root, password="wrong", otp=code)

        assert (status, told["error_code"]) == (401, "INVALID_CREDENTIALS")

    def test_a_recovery_code_is_good_once(self, root: User) -> None:
        activated(sign_in(root)[0])
        code = Authenticator.objects.get(user=root, type="recovery_codes").wrap().get_unused_codes()[0]

        assert [self.ask(root, otp=code)[0] for _ in range(2)] == [200, 401]

    def test_codes_are_not_guessed(self, root: User) -> None:
        """Nor from many addresses: tries are counted by person."""
        settings.HUB_SIGN_IN_LIMIT, before = 5, settings.HUB_SIGN_IN_LIMIT
        try:
            codes = codes_for(activated(sign_in(root)[0]))
            asked = {"username": root.username, "password": PASSWORD}
            said = [
                Client(REMOTE_ADDR=f"192.0.2.{n}")
                .post(
                    "/auth/token/", {**asked, "otp": codes[-1] if n == 7 else f"{n:06}"}, "application/json"
                )
                .status_code
                for n in range(8)
            ]
        finally:
            settings.HUB_SIGN_IN_LIMIT = before
        assert said == [401] * 5 + [429] * 3

    def test_an_invitation_is_no_way_around_it(self, root: User) -> None:
        owner = User.objects.create_user(f"owner-of-{root.username}")
        company = Company.objects.create(name=f"of {root.username}", slug=root.username)
        Membership.objects.unscoped().create(company=company, user=owner, role="owner")
        row = Invitation.objects.unscoped().create(
            company=company, role="member", created_by=owner, digest=tokens.digest(f"mhi_{root.username}"),
            expires_at=clock.now() + timedelta(days=1),
        )  # fmt: skip
        code = codes_for(activated(sign_in(root)[0]))[-1]
        asked = {"token": f"mhi_{root.username}", "username": root.username, "password": PASSWORD}

        without, right = (
            Client().post("/auth/invitations/accept/", {**asked, **more}, "application/json")
            for more in ({}, {"otp": code})
        )

        assert (without.status_code, without.json()["error_code"]) == (401, "OTP_REQUIRED")
        assert right.status_code == 200
        row.refresh_from_db()
        assert row.accepted_by == root


class TestIdentities:
    @staticmethod
    def arrive(provider: Provider, **lies: Any) -> tuple[Client, Any]:
        """Through the button, to the provider and back."""
        client = Client()
        provider.lies = lies
        led = client.post("/accounts/oidc/sso/login/?process=login&next=/admin/")
        assert led.status_code == 302
        where = urlsplit(led["Location"])
        assert f"{where.scheme}://{where.netloc}{where.path}" == f"{settings.HUB_OIDC_URL}/authorize"
        asked = {name: values[0] for name, values in parse_qs(where.query).items()}
        back = urlsplit(provider.authorize(asked))
        return client, client.get(f"{back.path}?{back.query}")

    def test_it_works(self, root: User, provider: Provider) -> None:
        provider.person = {"sub": f"s-{root.pk}", "email": root.email.upper(), "email_verified": True}

        client, answer = self.arrive(provider)

        assert (answer.status_code, answer["Location"]) == (302, "/admin/")
        assert client.get("/admin/").status_code == 200  # its own second factor is the provider's affair
        assert SocialAccount.objects.get(user=root).uid == f"s-{root.pk}"
        # Known from now on, whatever address they have.
        provider.person = {"sub": f"s-{root.pk}", "email": "other@example.com", "email_verified": False}
        assert self.arrive(provider)[0].get("/admin/").status_code == 200

    @pytest.mark.parametrize(
        "person",
        [
            {"email": "nobody@example.com", "email_verified": True},
            {"email": "{root}", "email_verified": False},
            {"email": "{root}", "email_verified": "true"},
            {"email": "{root}"},
            {"email": "", "email_verified": True},
        ],
    )
    def test_who_is_unknown_gets_no_account(
        self, root: User, provider: Provider, person: dict[str, Any]
    ) -> None:
        people = User.objects.count()
        provider.person = {
            "sub": f"x-{root.pk}",
            **person,
            "email": person["email"].format(root=root.email),
        }

        client, answer = self.arrive(provider)

        assert answer.status_code == 403
        assert client.get("/admin/").status_code == 302
        assert User.objects.count() == people
        assert not SocialAccount.objects.filter(uid=f"x-{root.pk}").exists()

    def test_an_address_of_two_is_nobodys(self, root: User, provider: Provider) -> None:
        User.objects.create_superuser(f"{root.username}-twin", email=root.email, password=PASSWORD)
        provider.person = {"sub": f"t-{root.pk}", "email": root.email, "email_verified": True}

        assert self.arrive(provider)[1].status_code == 403

    def test_who_is_no_staff_or_disabled_stays_out(self, root: User, provider: Provider) -> None:
        provider.person = {"sub": f"d-{root.pk}", "email": root.email, "email_verified": True}
        assert self.arrive(provider)[1].status_code == 302
        User.objects.filter(pk=root.pk).update(is_staff=False)

        assert self.arrive(provider)[1].status_code == 403

    @pytest.mark.parametrize("lie", [{"aud": "another"}, {"iss": "http://evil.example"}, {"exp": 1}])
    def test_a_token_for_another_is_refused(
        self, root: User, provider: Provider, lie: dict[str, Any]
    ) -> None:
        provider.person = {"sub": f"l-{root.pk}", "email": root.email, "email_verified": True}

        client, answer = self.arrive(provider, **lie)

        assert answer.status_code != 302 or "/admin/" not in answer["Location"]
        assert client.get("/admin/").status_code == 302

    def test_a_callback_of_nobodys_asking(self, provider: Provider) -> None:
        before = provider.exchanged

        answer = Client().get("/accounts/oidc/sso/login/callback/?code=stolen&state=forged")

        assert answer.status_code == 401
        assert provider.exchanged == before

    def test_a_get_leads_nowhere_by_itself(self) -> None:
        assert Client().get("/accounts/oidc/sso/login/").status_code == 200


@pytest.mark.parametrize("path", ["signup", "password/reset", "password/change", "email", "3rdparty"])
def test_what_is_closed(root: User, path: str) -> None:
    client, _ = sign_in(root)

    assert client.get(f"/accounts/{path}/").status_code in (302, 403)
    assert client.post(f"/accounts/{path}/", {"email": "x@example.com"}).status_code in (302, 403)
    assert Client().get(f"/accounts/{path}/").status_code in (302, 403)


def test_the_admins_own_door_leads_here() -> None:
    answer = Client().get("/admin/login/?next=/admin/tenancy/")

    assert (answer.status_code, answer["Location"]) == (302, "/accounts/login/?next=/admin/tenancy/")


def test_its_pages_keep_their_policy(root: User) -> None:
    client, _ = sign_in(root)
    for answer in (Client().get("/accounts/login/"), client.get("/accounts/2fa/totp/activate/")):
        policy = answer["Content-Security-Policy"]
        text = answer.content.decode()
        assert f"form-action 'self' {settings.HUB_OIDC_URL}" in policy
        assert "unsafe" not in policy
        assert not re.search(r"<script(?![^>]*src=)(?![^>]*application/json)|\sstyle=|\son\w+=", text)


def test_passwords_are_throttled_here_too(root: User) -> None:
    settings.HUB_SIGN_IN_LIMIT, before = 3, settings.HUB_SIGN_IN_LIMIT
    try:
        for _ in range(4):
            sign_in(root, "wrong")
        assert sign_in(root)[1].status_code == 200  # the right one is told like a wrong one
    finally:
        settings.HUB_SIGN_IN_LIMIT = before
