"""Companies, people and what lets them in, through the admin."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib.messages import get_messages
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.urls import reverse

from megahub.audit.models import AuditEntry
from megahub.kernel.errors import InvalidToken, TokenRevoked
from megahub.tenancy import second_factors, selectors, services, tokens
from megahub.tenancy.models import ApiKey, Brand, Company, Membership, SignIn, User
from megahub.tenancy.roles import Role
from tests.conftest import Api
from tests.world import RUN, Cast, Person

KEYS = "/admin/tenancy/apikey/"


def errors_of(response: Any) -> dict[str, list[str]]:
    return dict(response.context["adminform"].form.errors)


def caller(person: Person) -> selectors.Caller:
    return selectors.caller_for(person.token, str(person.brand.pk))


# Companies -------------------------------------------------------------------------------------


def company_form(name: str, **fields: str) -> dict[str, str]:
    return {
        "name": name,
        "slug": name.lower(),
        "timezone": "Europe/Zurich",
        "language": "en",
        "batch_engine": "auto",
        "is_active": "on",
        "brands-TOTAL_FORMS": "1",
        "brands-INITIAL_FORMS": "0",
        "brands-0-name": "First",
        "brands-0-is_active": "on",
        **fields,
    }


def test_a_company_with_a_brand(root: Client) -> None:
    name = f"Made-{RUN}"
    management = {
        f"{prefix}-{part}_FORMS": "0"
        for prefix in ("memberships", "api_keys")
        for part in ("TOTAL", "INITIAL")
    }

    response = root.post("/admin/tenancy/company/add/", company_form(name, **management))

    assert response.status_code == 302
    company = Company.objects.get(name=name)
    assert (company.timezone, company.use_sandbox) == ("Europe/Zurich", False)
    assert list(company.brands.values_list("name", "is_active")) == [("First", True)]


def test_an_unknown_time_zone_is_refused(root: Client) -> None:
    response = root.post(
        "/admin/tenancy/company/add/", company_form(f"Lost-{RUN}", timezone="Mars/Olympus")
    )

    assert errors_of(response) == {"timezone": ["Unknown time zone."]}
    assert not Company.objects.filter(name=f"Lost-{RUN}").exists()


def test_the_company_page_shows_its_people_keys_and_rows(root: Client, cast: Cast) -> None:
    cast.alice.api_key()
    response = root.get(f"/admin/tenancy/company/{cast.company.pk}/change/")

    for name in (cast.alice.user.username, cast.bob.user.username, cast.brand.name):
        assert name in response.text
    assert cast.charlie.user.username not in response.text
    for page in ("ai_usage/budget", "ai_providers/aicredentials", "ai_core/aijob", "ai_usage/aijobusage"):
        assert f'href="/admin/{page}/?company__id__exact={cast.company.pk}"' in response.text
    adding = root.get(f"/admin/tenancy/company/{cast.company.pk}/add_person/")
    assert adding["Location"] == f"/admin/tenancy/membership/add/?company={cast.company.pk}"


def test_switching_a_company_off_is_felt_at_once(root: Client, cast: Cast) -> None:
    assert caller(cast.alice).company_id == cast.company.pk
    page = root.get(f"/admin/tenancy/company/{cast.company.pk}/change/")
    sent = company_form(cast.company.name, slug=cast.company.slug)
    del sent["is_active"]
    for formset in page.context["inline_admin_formsets"]:
        prefix = formset.formset.prefix
        sent |= {f"{prefix}-TOTAL_FORMS": "0", f"{prefix}-INITIAL_FORMS": "0"}

    assert root.post(f"/admin/tenancy/company/{cast.company.pk}/change/", sent).status_code == 302

    with pytest.raises(Exception, match="not a member of any active company"):
        selectors.caller_for(cast.alice.token, None)


def test_a_brand_stays_with_its_company(root: Client, cast: Cast) -> None:
    sent = {"name": "Renamed", "is_active": "on", "company": str(cast.charlie.company.pk)}

    response = root.post(f"/admin/tenancy/brand/{cast.brand.pk}/change/", sent)

    assert response.status_code == 302
    brand = Brand.objects.unscoped().get(pk=cast.brand.pk)
    assert (brand.name, brand.company_id) == ("Renamed", cast.company.pk)


@pytest.mark.parametrize("field", ["brands", "default_brand"])
def test_a_membership_enters_its_own_companys_brands(root: Client, cast: Cast, field: str) -> None:
    row = Membership.objects.of(cast.company.pk).get(user=cast.bob.user)

    response = root.post(
        f"/admin/tenancy/membership/{row.pk}/change/",
        {"role": Role.VIEWER, "brands": [], "default_brand": "", field: str(cast.charlie.brand.pk)},
    )

    assert errors_of(response) == {field: ["This brand is another company's."]}
    assert Membership.objects.of(cast.company.pk).get(pk=row.pk).role == Role.MEMBER


def test_another_role_is_felt_at_once(root: Client, cast: Cast) -> None:
    row = Membership.objects.of(cast.company.pk).get(user=cast.bob.user)
    assert caller(cast.bob).role == Role.MEMBER

    response = root.post(
        f"/admin/tenancy/membership/{row.pk}/change/",
        {"role": Role.VIEWER, "default_brand": str(cast.brand.pk), "is_active": "on"},
    )

    assert response.status_code == 302
    assert caller(cast.bob).role == Role.VIEWER


class TestTheLastOwner:
    """Nobody could give a company another one but the hub's own staff."""

    def page(self, person: Person) -> str:
        row = Membership.objects.of(person.company.pk).get(user=person.user)
        return f"/admin/tenancy/membership/{row.pk}/"

    @pytest.mark.parametrize("left", [{"role": Role.ADMIN, "is_active": "on"}, {"role": Role.OWNER}])
    def test_keeps_their_role(self, root: Client, cast: Cast, left: dict[str, str]) -> None:
        response = root.post(f"{self.page(cast.alice)}change/", {"default_brand": "", **left})

        assert errors_of(response) == {"__all__": ["This is the last owner: make another one first."]}
        row = Membership.objects.of(cast.company.pk).get(user=cast.alice.user)
        assert (row.role, row.is_active) == (Role.OWNER, True)

    def test_is_not_deleted(self, root: Client, cast: Cast) -> None:
        row = Membership.objects.of(cast.company.pk).get(user=cast.alice.user)
        chosen = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}

        answers = [
            root.post(f"{self.page(cast.alice)}delete/", {"post": "yes"}),
            root.post("/admin/tenancy/membership/", chosen),
        ]

        assert [answer.status_code for answer in answers] == [200, 200]
        for answer in answers:
            assert "This is the last owner" in answer.text
        assert Membership.objects.of(cast.company.pk).filter(pk=row.pk).exists()

    def test_two_of_them_do_not_go_together(self, root: Client, cast: Cast) -> None:
        rows = Membership.objects.of(cast.company.pk)
        rows.update(role=Role.OWNER)
        chosen = {"action": "delete_selected", "_selected_action": [row.pk for row in rows], "post": "yes"}

        root.post("/admin/tenancy/membership/", chosen)
        both = rows.count()
        root.post(f"{self.page(cast.bob)}delete/", {"post": "yes"})

        assert (both, [row.user for row in rows.all()]) == (2, [cast.alice.user])


# Users -----------------------------------------------------------------------------------------


def user_form(user: User, **fields: str) -> dict[str, str]:
    return {
        "username": user.username,
        "email": user.email,
        "is_active": "on",
        "date_joined_0": "2026-11-20",
        "date_joined_1": "10:00:00",
        "memberships-TOTAL_FORMS": "0",
        "memberships-INITIAL_FORMS": "0",
        **fields,
    }


def test_a_user_is_made_with_a_password(root: Client) -> None:
    name = f"made-{RUN}"
    sent = {
        "username": name,
        "usable_password": "true",
        "password1": "correct horse",
        "password2": "correct horse",
    }

    assert root.post("/admin/tenancy/user/add/", sent).status_code == 302

    assert User.objects.get(username=name).check_password("correct horse")


def test_disabling_a_user_ends_their_sessions(root: Client, cast: Cast) -> None:
    access, refresh = services.sign_in(cast.bob.user.username, "correct horse")
    key = cast.bob.api_key()
    assert selectors.caller_for(access, None).user_id == cast.bob.user.pk
    sent = user_form(cast.bob.user)
    del sent["is_active"]

    assert root.post(f"/admin/tenancy/user/{cast.bob.user.pk}/change/", sent).status_code == 302

    for token in (access, key, cast.bob.token):
        with pytest.raises(InvalidToken):
            selectors.caller_for(token, None)
    # Enabled again, the old sessions stay ended.
    root.post(f"/admin/tenancy/user/{cast.bob.user.pk}/change/", user_form(cast.bob.user))
    for use in (lambda: selectors.caller_for(access, None), lambda: services.refresh(refresh)):
        with pytest.raises(TokenRevoked):
            use()
    assert not SignIn.objects.filter(user=cast.bob.user, revoked_at=None).exists()


def test_saving_a_user_otherwise_ends_nothing(root: Client, cast: Cast) -> None:
    sent = user_form(cast.bob.user, email="bob@example.com")

    assert root.post(f"/admin/tenancy/user/{cast.bob.user.pk}/change/", sent).status_code == 302

    assert caller(cast.bob).user_id == cast.bob.user.pk


@pytest.mark.parametrize("usable", ["true", "false"])
def test_a_new_password_ends_sessions(root: Client, cast: Cast, usable: str) -> None:
    assert caller(cast.bob).user_id == cast.bob.user.pk
    sent = {"usable_password": usable, "password1": "another horse", "password2": "another horse"}

    response = root.post(f"/admin/tenancy/user/{cast.bob.user.pk}/password/", sent)

    assert response.status_code == 302
    with pytest.raises(TokenRevoked):
        caller(cast.bob)
    user = User.objects.get(pk=cast.bob.user.pk)
    assert user.check_password("another horse") is (usable == "true")


def test_no_new_password_without_a_reason(root: Client, cast: Cast) -> None:
    page = f"/admin/tenancy/user/{cast.bob.user.pk}/password/"
    sent = {"usable_password": "true", "password1": "another horse", "password2": "another horse"}
    assert 'name="audit_reason"' in root.get(page).text

    refused = root.post(page, {**sent, "audit_reason": " "})
    assert "Say why: the reason is kept in the audit trail." in refused.text
    assert User.objects.get(pk=cast.bob.user.pk).check_password("correct horse")
    assert root.post(page, {**sent, "audit_reason": "he forgot it"}).status_code == 302

    (entry,) = AuditEntry.objects.unscoped().filter(
        object_type="tenancy.user", object_id=str(cast.bob.user.pk)
    )
    assert (entry.action, entry.reason) == ("user.change", "he forgot it")
    assert "another horse" not in f"{entry.before}{entry.after}"


def test_ones_own_new_password_is_in_the_trail(sandbox_url: str) -> None:
    user = User.objects.create_superuser(f"own-{RUN}", password="correct horse")
    client = Client()
    client.force_login(user)
    page = "/admin/password_change/"
    sent = {
        "old_password": "correct horse",
        "new_password1": "another horse",
        "new_password2": "another horse",
    }
    assert 'name="audit_reason"' in client.get(page).text

    assert "Say why: the reason is kept in the audit trail." in client.post(page, sent).text
    assert User.objects.get(pk=user.pk).check_password("correct horse")
    done = client.post(page, {**sent, "audit_reason": "a year is over"})

    assert done.headers["location"] == "/admin/password_change/done/"
    assert User.objects.get(pk=user.pk).check_password("another horse")
    (entry,) = AuditEntry.objects.unscoped().filter(object_type="tenancy.user", object_id=str(user.pk))
    assert (entry.action, entry.actor_name, entry.reason) == (
        "user.change",
        user.username,
        "a year is over",
    )
    assert client.get("/admin/").status_code == 200  # this session goes on


def test_two_different_passwords_change_nothing(root: Client, cast: Cast) -> None:
    sent = {"usable_password": "true", "password1": "another horse", "password2": "anothre horse"}

    assert root.post(f"/admin/tenancy/user/{cast.bob.user.pk}/password/", sent).status_code == 200

    assert caller(cast.bob).user_id == cast.bob.user.pk
    assert User.objects.get(pk=cast.bob.user.pk).check_password("correct horse")


# API keys --------------------------------------------------------------------------------------


def key_form(person: Person, **fields: Any) -> dict[str, Any]:
    return {
        "company": person.company.pk,
        "created_by": person.user.pk,
        "brand": "",
        "name": "from the admin",
        "scopes": ["jobs:read", "inference"],
        "expires_at_0": "",
        "expires_at_1": "",
        **fields,
    }


def test_a_key_is_shown_once(root: Client, cast: Cast, api: Api) -> None:
    made = root.post(f"{KEYS}add/", key_form(cast.alice))

    assert made.status_code == 302
    row = ApiKey.objects.of(cast.company.pk).get()
    page = root.get(f"{KEYS}{row.pk}/change/")
    (key,) = set(re.findall(r"mh_[a-z0-9]{10}_[A-Za-z0-9]{40}", page.text))
    assert f"The key, shown this once: <code>{key}</code>" in page.text
    assert (row.digest, row.scopes) == (tokens.digest(key), ["inference", "jobs:read"])
    me = api.as_(key).get("/auth/me/")
    assert (me.status_code, me.json()["scopes"]) == (200, ["inference", "jobs:read"])
    for url in (f"{KEYS}{row.pk}/change/", KEYS, f"{KEYS}{row.pk}/history/", "/admin/"):
        text = root.get(url).text
        assert key not in text
        assert row.digest not in text


def test_a_key_is_not_kept_in_a_session(root: Client, cast: Cast) -> None:
    made = root.post(f"{KEYS}add/", key_form(cast.alice))

    (key,) = re.findall(
        r"mh_[a-z0-9]{10}_[A-Za-z0-9]{40}", "".join(map(str, get_messages(made.wsgi_request)))
    )
    with connection.cursor() as cursor:
        cursor.execute("SELECT session_data FROM django_session")
        assert not any(key in str(row) for row in cursor.fetchall())
    assert not any(key in str(session.get_decoded()) for session in Session.objects.all())


def test_a_key_stays_within_its_owners_role(root: Client, cast: Cast) -> None:
    response = root.post(f"{KEYS}add/", key_form(cast.bob, scopes=["inference", "credentials:manage"]))

    assert errors_of(response) == {"scopes": ["Beyond the owner's role: credentials:manage."]}
    assert not ApiKey.objects.of(cast.company.pk).exists()


def test_a_keys_owner_is_a_member(root: Client, cast: Cast) -> None:
    response = root.post(f"{KEYS}add/", key_form(cast.alice, created_by=cast.charlie.user.pk))

    text = f"{cast.charlie.user.username} is no member of {cast.company.name}."
    assert errors_of(response) == {"__all__": [text]}
    assert not ApiKey.objects.of(cast.company.pk).exists()


def test_a_keys_brand_is_its_companys(root: Client, cast: Cast) -> None:
    response = root.post(f"{KEYS}add/", key_form(cast.alice, brand=cast.charlie.brand.pk))

    assert errors_of(response) == {"brand": ["This brand is another company's."]}


def test_changing_a_key_makes_no_other(root: Client, cast: Cast) -> None:
    token = cast.alice.api_key()
    row = ApiKey.objects.of(cast.company.pk).get()

    response = root.post(
        f"{KEYS}{row.pk}/change/", key_form(cast.charlie, name="renamed", scopes=["jobs:read"])
    )

    assert response.status_code == 302
    again = ApiKey.objects.of(cast.company.pk).get()
    assert (again.name, again.digest, again.company_id) == ("renamed", row.digest, cast.company.pk)
    assert selectors.caller_for(token, None).scopes == {"jobs:read"}


def test_revoking_keys_from_the_list(root: Client, cast: Cast) -> None:
    token = cast.alice.api_key()
    row = ApiKey.objects.of(cast.company.pk).get()
    assert selectors.caller_for(token, None)

    response = root.post(KEYS, {"action": "revoke", "_selected_action": [row.pk]}, follow=True)

    assert "1 revoked." in response.text
    with pytest.raises(TokenRevoked):
        selectors.caller_for(token, None)


def test_nothing_is_revoked_without_a_reason(root: Client, cast: Cast) -> None:
    token = cast.alice.api_key()
    row = ApiKey.objects.of(cast.company.pk).get()

    root.post(KEYS, {"action": "revoke", "_selected_action": [row.pk], "audit_reason": ""})
    root.post(f"{KEYS}{row.pk}/revoke_this/", {"_form_submitted": "True", "audit_reason": ""})
    assert selectors.caller_for(token, None)
    root.post(KEYS, {"action": "revoke", "_selected_action": [row.pk], "audit_reason": "it leaked"})

    (entry,) = AuditEntry.objects.unscoped().filter(
        company_id=cast.company.pk, object_type="tenancy.apikey"
    )
    assert entry.reason == "it leaked"


def test_revoking_on_a_page_asks_first(root: Client, cast: Cast) -> None:
    token = cast.alice.api_key()
    row = ApiKey.objects.of(cast.company.pk).get()
    page = f"{KEYS}{row.pk}/revoke_this/"

    asked = root.get(page)
    assert (asked.status_code, "Revoke?" in asked.text) == (200, True)
    assert selectors.caller_for(token, None)
    done = root.post(page, {"_form_submitted": "True"})

    assert done["HX-Redirect"] == f"{KEYS}{row.pk}/change/"
    with pytest.raises(TokenRevoked):
        selectors.caller_for(token, None)
    # What is revoked is not offered again.
    assert root.post(page, {"_form_submitted": "True"}).status_code == 403


def test_who_may_only_look_does_not_revoke(staff: Callable[..., Client], cast: Cast) -> None:
    cast.alice.api_key()
    row = ApiKey.objects.of(cast.company.pk).get()
    client = staff("view_apikey")

    client.post(KEYS, {"action": "revoke", "_selected_action": [row.pk]})
    refused = client.post(f"{KEYS}{row.pk}/revoke_this/", {"_form_submitted": "True"})

    assert refused.status_code == 403
    assert ApiKey.objects.of(cast.company.pk).get().revoked_at is None


def test_revoking_a_sign_in(root: Client, cast: Cast) -> None:
    session = SignIn.objects.get(user=cast.bob.user)
    assert caller(cast.bob)

    root.post("/admin/tenancy/signin/", {"action": "revoke", "_selected_action": [session.pk]})

    with pytest.raises(TokenRevoked):
        caller(cast.bob)
    assert caller(cast.alice)


def test_people_are_found_to_be_chosen(root: Client, cast: Cast) -> None:
    found = root.get(
        "/admin/autocomplete/",
        {
            "app_label": "tenancy",
            "model_name": "apikey",
            "field_name": "company",
            "term": f'"{cast.company.name}"',  # in one piece: each of its words is of others, too
        },
    )

    assert found.json()["results"] == [{"id": str(cast.company.pk), "text": cast.company.name}]


def test_tokens_of_a_sign_in_are_not_shown(root: Client, cast: Cast) -> None:
    services.sign_in(cast.bob.user.username, "correct horse")
    session = SignIn.objects.filter(user=cast.bob.user).latest("created_at")

    page = root.get(f"/admin/tenancy/signin/{session.pk}/change/").text

    assert session.refresh_tokens.get().digest not in page


def test_a_lost_second_factor_is_taken_away(
    root: Client, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of whoever has lost their phone and their codes; the trail tells of it, nothing sealed."""
    monkeypatch.setattr(settings, "HUB_TOTP", "optional")
    row = Authenticator.objects.create(user=cast.bob.user, type="totp", data={"secret": "sealed-away"})
    assert second_factors.is_on(cast.bob.user.pk)
    page = reverse("admin:mfa_authenticator_change", args=[row.pk])

    assert "sealed-away" not in root.get(page).content.decode()
    assert root.post(page, {"type": "recovery_codes"}).status_code == 403
    gone = root.post(reverse("admin:mfa_authenticator_delete", args=[row.pk]), {"post": "yes"})

    assert gone.status_code == 302
    assert not second_factors.is_on(cast.bob.user.pk)
    entry = AuditEntry.objects.unscoped().filter(action="authenticator.delete").latest("pk")
    assert entry.before == {"user": cast.bob.user.username, "type": "totp"}
