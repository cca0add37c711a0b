"""An invitation by mail: its link, whose language, and that its token is nowhere else."""

from __future__ import annotations

import re
import smtplib
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.core import mail
from django.core.mail import EmailMessage
from django.test import Client
from django.urls import reverse

from megahub.delivery.models import Mail
from megahub.delivery.services import mails
from megahub.kernel import clock, vault
from megahub.kernel.text import SECRET_MARK
from megahub.tenancy import throttles
from megahub.tenancy.models import Company, Invitation, User
from tests.conftest import Api
from tests.world import RUN, Cast

INVITATIONS, ACCEPT = "/auth/invitations/", "/auth/invitations/accept/"
LINK = re.compile(rf"{re.escape(settings.HUB_PUBLIC_URL)}/console/batches/#invitation=(\S+)")
Invite = Callable[..., dict[str, Any]]


@pytest.fixture
def address(cast: Cast) -> str:
    return f"dora-{RUN}-{cast.company.pk}@example.com"


@pytest.fixture
def invite(api: Api, cast: Cast, address: str) -> Invite:
    """Alice invites whom ``address`` names."""

    def made(**fields: Any) -> dict[str, Any]:
        response = api.as_(cast.alice).post(INVITATIONS, {"email": address, **fields})
        assert response.status_code == 201, response.text
        return dict(response.json())

    return made


def letters(address: str) -> list[Any]:
    """What is sent to somebody now."""
    mail.outbox.clear()
    mails.send_due()
    return [each for each in mail.outbox if each.to == [address]]


def row_of(cast: Cast) -> Mail:
    return Mail.objects.of(cast.company.pk).get(about__startswith="invitation:")  # type: ignore[no-any-return]


def listed(api: Api, cast: Cast) -> Any:
    (found,) = api.as_(cast.alice).get(INVITATIONS).json()
    return found


def test_it_works(api: Api, cast: Cast, invite: Invite, address: str) -> None:
    made = invite(role="viewer")
    assert made["email_status"] == "pending"

    (letter,) = letters(address)

    assert letter.subject == f"Invitation to {cast.company.name} on MEGAHUB"
    who = cast.alice.user.username
    assert f"{who} invites you to {cast.company.name} on MEGAHUB. Your role there: Viewer." in letter.body
    assert clock.iso(Invitation.objects.of(cast.company.pk).get().expires_at) in letter.body
    (token,) = LINK.findall(letter.body)
    assert token == made["token"]
    assert listed(api, cast)["email_status"] == "sent"
    body = {"token": token, "username": cast.charlie.user.username, "password": "correct horse"}
    assert api.post(ACCEPT, body).status_code == 200
    assert letters(address) == []


def test_its_token_is_sealed_and_gone_once_it_is_sent(cast: Cast, invite: Invite, address: str) -> None:
    token = invite()["token"]

    row = row_of(cast)
    assert SECRET_MARK in row.text
    assert token not in str(Mail.objects.of(cast.company.pk).values().get())
    assert token in row.whole_text()
    root = User.objects.create_superuser(f"mail-reader-{RUN}-{row.pk}", password="correct horse")
    client = Client()
    client.force_login(root)
    page = client.get(reverse("admin:delivery_mail_change", args=[row.pk])).content.decode()
    assert SECRET_MARK in page
    assert token not in page

    letters(address)

    row.refresh_from_db()
    assert (row.state, row.sealed) == ("sent", None)


def test_a_seal_is_its_mails(cast: Cast, invite: Invite) -> None:
    """In another company's row, or on its way to somebody else, it does not open."""
    invite()
    for changes in ({"company_id": cast.charlie.company.pk}, {"to": "other@example.com"}):
        row = row_of(cast)
        for name, value in changes.items():
            setattr(row, name, value)
        with pytest.raises(vault.Sealed):
            row.whole_text()


class TestByHand:
    def test_it_is_not_sent(self, api: Api, cast: Cast, invite: Invite, address: str) -> None:
        made = invite(send_email=False)

        assert made["token"].startswith("mhi_")
        assert (made["email_status"], listed(api, cast)["email_status"]) == (None, None)
        assert letters(address) == []

    def test_nor_without_an_address(self, api: Api, cast: Cast) -> None:
        made = api.as_(cast.alice).post(INVITATIONS, {}).json()
        asked = api.as_(cast.alice).post(INVITATIONS, {"send_email": True})

        assert made["email_status"] is None
        assert (asked.status_code, list(asked.json()["field_errors"])) == (400, ["email"])
        assert Invitation.objects.of(cast.company.pk).count() == 1
        assert not Mail.objects.of(cast.company.pk).exists()


class TestLanguage:
    @pytest.mark.parametrize(
        ("theirs", "hosts", "companys", "french"),
        [
            ("fr", "en", "en", True),
            ("en", "fr", "fr", False),
            ("", "fr", "en", True),
            ("", "", "fr", True),
            (None, "", "en", False),
        ],
    )
    def test_the_readers_own_first(
        self,
        cast: Cast,
        invite: Invite,
        address: str,
        theirs: str | None,
        hosts: str,
        companys: str,
        french: bool,
    ) -> None:
        Company.objects.filter(pk=cast.company.pk).update(language=companys)
        User.objects.filter(pk=cast.alice.user.pk).update(language=hosts)
        if theirs is not None:
            User.objects.filter(pk=cast.charlie.user.pk).update(language=theirs, email=address.upper())

        invite()

        (letter,) = letters(address)
        assert ("vous invite" in letter.body) is french


class TestTrouble:
    @pytest.mark.parametrize(("code", "state"), [(550, "failed"), (450, "pending")])
    def test_what_the_server_refuses(
        self, api: Api, cast: Cast, invite: Invite, address: str, monkeypatch: pytest.MonkeyPatch,
        code: int, state: str,
    ) -> None:  # fmt: skip
        token = invite()["token"]

        def refused(self: EmailMessage, **_: Any) -> int:
            raise smtplib.SMTPRecipientsRefused({address: (code, b"no")})

        monkeypatch.setattr(EmailMessage, "send", refused)
        mails.send_due()

        row = row_of(cast)
        assert (row.state, row.error) == (state, f"SMTPRecipientsRefused {code}")
        assert (row.sealed is None) is (state == "failed")
        assert token not in str(row.history)
        assert listed(api, cast)["email_status"] == state

    def test_a_seal_that_does_not_open_keeps_no_other_mail(
        self, api: Api, cast: Cast, invite: Invite, address: str
    ) -> None:
        invite()
        Mail.objects.of(cast.company.pk).update(sealed=b"another master key's")
        with_another = f"b-{address}"
        api.as_(cast.alice).post(INVITATIONS, {"email": with_another})

        assert len(letters(with_another)) == 1

        broken = Mail.objects.of(cast.company.pk).get(to=address)
        assert (broken.state, broken.error, broken.sealed) == ("failed", "Sealed", None)

    @pytest.mark.parametrize("how", ["revoked", "accepted"])
    def test_one_that_leads_nowhere_is_not_sent(
        self, api: Api, cast: Cast, invite: Invite, address: str, how: str
    ) -> None:
        made = invite()
        if how == "revoked":
            gone = api.as_(cast.alice).request("DELETE", f"{INVITATIONS}{made['id']}/")
            assert gone.json()["email_status"] == "failed"
        else:
            body = {"username": cast.charlie.user.username, "password": "correct horse"}
            assert api.post(ACCEPT, {**body, "token": made["token"]}).status_code == 200

        assert letters(address) == []
        row = row_of(cast)
        assert (row.state, row.error, row.sealed) == ("failed", "Withdrawn", None)

    def test_a_hub_writes_to_strangers_for_nobody(
        self, api: Api, cast: Cast, invite: Invite, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(throttles, "INVITATIONS_A_DAY", 2)
        for number in range(2):
            invite(email=f"{number}@example.com")

        third = api.as_(cast.alice).post(INVITATIONS, {"email": "third@example.com"})
        by_hand = api.as_(cast.alice).post(INVITATIONS, {"email": "third@example.com", "send_email": False})

        assert (third.status_code, by_hand.status_code) == (429, 201)
        assert Invitation.objects.of(cast.company.pk).count() == 3
        assert Mail.objects.of(cast.company.pk).count() == 2
