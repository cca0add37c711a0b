"""``/auth/members/``, ``/auth/invitations/``, ``/auth/brands/``: who belongs to a company, and as what."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from megahub.audit.models import AuditEntry
from megahub.kernel import cache, clock
from megahub.tenancy import members
from megahub.tenancy.models import Brand, Invitation, Membership, User
from megahub.tenancy.roles import LADDER, Role, reaches
from megahub.tenancy.selectors import forget_callers
from tests import world
from tests.conftest import Api
from tests.world import Cast, Person

MEMBERS, INVITATIONS, BRANDS = "/auth/members/", "/auth/invitations/", "/auth/brands/"
ACCEPT = "/auth/invitations/accept/"
STRONG = "a long unlikely passphrase 47"


def row_of(person: Person) -> Membership:
    return Membership.objects.of(person.company.pk).get(user=person.user)  # type: ignore[no-any-return]


def one(person: Person) -> str:
    return f"{MEMBERS}{row_of(person).pk}/"


def another(cast: Cast, role: str, name: str = "extra") -> Person:
    return world.make_person(f"{cast.alice.user.username}-{name}", cast.company, cast.brand, role)


class TestMembers:
    def test_it_works(self, api: Api, cast: Cast) -> None:
        alice = api.as_(cast.alice)

        listed = alice.get(MEMBERS).json()

        bob = listed[1]
        assert [row["username"] for row in listed] == [cast.alice.user.username, cast.bob.user.username]
        assert bob == {
            "id": row_of(cast.bob).pk,
            "user_id": cast.bob.user.pk,
            "username": cast.bob.user.username,
            "email": "",
            "can_sign_in": True,
            "role": "member",
            "brands": [],
            "default_brand": cast.brand.pk,
            "is_active": True,
            "created_at": bob["created_at"],
        }
        assert alice.get(one(cast.bob)).json() == bob
        changed = alice.request(
            "PATCH",
            one(cast.bob),
            json={"role": "viewer", "brands": [cast.brand.pk], "default_brand": None},
        )
        wanted = {**bob, "role": "viewer", "brands": [cast.brand.pk], "default_brand": None}
        assert (changed.status_code, changed.json()) == (200, wanted)
        assert api.as_(cast.bob).get("/auth/me/").json()["role"] == "viewer"

    def test_a_demoted_makers_key_shrinks_and_a_removed_ones_ends(self, api: Api, cast: Cast) -> None:
        admin = another(cast, Role.ADMIN)
        key = admin.api_key("webhooks:manage", "jobs:read")
        assert api.as_(key).get("/ai/webhooks/").status_code == 200

        api.as_(cast.alice).request("PATCH", one(admin), json={"role": "member"})
        assert api.as_(key).get("/ai/webhooks/").status_code == 403
        assert api.as_(key).get("/ai/jobs/").status_code == 200
        assert api.as_(cast.alice).request("DELETE", one(admin)).status_code == 204

        assert api.as_(key).get("/ai/jobs/").status_code == 403
        assert api.as_(admin).get("/ai/jobs/").status_code == 403

    def test_switched_off_and_on(self, api: Api, cast: Cast) -> None:
        key, path = cast.bob.api_key(), one(cast.bob)

        api.as_(cast.alice).request("PATCH", path, json={"is_active": False})
        off = [api.as_(token).get("/ai/jobs/").status_code for token in (cast.bob.token, key)]
        api.as_(cast.alice).request("PATCH", path, json={"is_active": True})

        assert off == [403, 403]
        assert [api.as_(token).get("/ai/jobs/").status_code for token in (cast.bob.token, key)] == [
            200,
            200,
        ]

    def test_roles_are_a_ladder(self, api: Api, cast: Cast) -> None:
        admin = another(cast, Role.ADMIN)
        caller = api.as_(admin)

        for response in (
            caller.request("PATCH", one(cast.alice), json={"role": "member"}),
            caller.request("DELETE", one(cast.alice)),
            caller.request("PATCH", one(cast.bob), json={"role": "owner"}),
            caller.request("PATCH", one(admin), json={"role": "owner"}),
            caller.post(INVITATIONS, {"role": "owner"}),
        ):
            assert response.status_code == 403
            assert response.json()["error_code"] == "PERMISSION_DENIED"
        roles = [row.role for row in Membership.objects.of(cast.company.pk).order_by("pk")]
        assert roles == ["owner", "member", "admin"]
        assert caller.request("PATCH", one(cast.bob), json={"role": "admin"}).status_code == 200
        assert [[other for other in LADDER if reaches(own, other)] for own in LADDER] == [
            ["viewer"],
            ["viewer", "member"],
            ["viewer", "member", "admin"],
            ["viewer", "member", "admin", "owner"],
        ]

    @pytest.mark.parametrize("how", ["demote", "switch off", "remove"])
    def test_the_last_owner_stays(self, api: Api, cast: Cast, how: str) -> None:
        gone = another(cast, Role.OWNER)
        User.objects.filter(pk=gone.user.pk).update(is_active=False)
        alice, path = api.as_(cast.alice), one(cast.alice)

        def act() -> int:
            if how == "remove":
                return alice.request("DELETE", path).status_code
            body = {"role": "admin"} if how == "demote" else {"is_active": False}
            return alice.request("PATCH", path, json=body).status_code

        assert act() == 409
        row = row_of(cast.alice)
        assert (row.role, row.is_active) == ("owner", True)
        another(cast, Role.OWNER, "second")
        assert act() in (200, 204)

    def test_two_owners_who_remove_each_other_leave_one(self, api: Api, cast: Cast) -> None:
        second = another(cast, Role.OWNER)
        pairs = ((cast.alice, one(second)), (second, one(cast.alice)))
        codes: list[int] = []

        def act(person: Person, path: str) -> None:
            codes.append(api.as_(person).request("PATCH", path, json={"role": "member"}).status_code)
            connection.close()

        threads = [threading.Thread(target=act, args=pair) for pair in pairs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert Membership.objects.of(cast.company.pk).filter(role="owner").count() == 1
        assert sorted(codes) in ([200, 403], [200, 409])

    @pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite locks the whole file")
    def test_a_change_holds_up_no_row_of_the_company(self, cast: Cast) -> None:
        """Or the two wait for each other: rows that refer to the company, and the head of its trail."""
        made: list[str] = []

        def work() -> None:
            made.append(members.make_brand(cast.alice.caller, "Meanwhile").name)
            connection.close()

        with transaction.atomic():
            members.locked(cast.company.pk, row_of(cast.bob).pk)
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()

        assert made == ["Meanwhile"]

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"role": "king"}, "role"),
            ({"brands": [999999999]}, "brands"),
            ({"brands": "all"}, "brands"),
            ({"default_brand": 999999999}, "default_brand"),
            ({"is_active": "perhaps"}, "is_active"),
        ],
    )
    def test_bad_input(self, api: Api, cast: Cast, body: dict[str, Any], field: str) -> None:
        response = api.as_(cast.alice).request("PATCH", one(cast.bob), json=body)

        assert response.status_code == 400
        assert list(response.json()["field_errors"]) == [field]
        assert AuditEntry.objects.of(cast.company.pk).count() == 0

    def test_a_strangers_brand_is_like_none(self, api: Api, cast: Cast) -> None:
        alice = api.as_(cast.alice)

        foreign, absent = (
            alice.request("PATCH", one(cast.bob), json={"brands": [number]})
            for number in (cast.charlie.brand.pk, 999999999)
        )

        assert (foreign.status_code, foreign.json()) == (400, absent.json())

    def test_who_does_not_manage(self, api: Api, cast: Cast) -> None:
        """Members, API keys of any scope, and administrators who are bound to a brand."""
        bound = another(cast, Role.ADMIN)
        row_of(bound).brands.add(cast.brand)
        key = cast.alice.api_key("members:manage")
        cache.forget_everything()

        for token in (cast.bob.token, key, bound.token):
            caller = api.as_(token)
            for method, path, body in (
                ("GET", MEMBERS, None),
                ("GET", one(cast.bob), None),
                ("PATCH", one(cast.bob), {"role": "admin"}),
                ("DELETE", one(cast.bob), None),
                ("GET", INVITATIONS, None),
                ("POST", INVITATIONS, {}),
                ("POST", BRANDS, {"name": "More"}),
                ("PATCH", f"{BRANDS}{cast.brand.pk}/", {"name": "Mine"}),
            ):
                assert caller.request(method, path, json=body).status_code == 403, (method, path)
        assert row_of(cast.bob).role == "member"


class TestInvitations:
    def invite(self, api: Api, cast: Cast, **fields: Any) -> dict[str, Any]:
        response = api.as_(cast.alice).post(INVITATIONS, fields)
        assert response.status_code == 201, response.text
        return dict(response.json())

    def test_it_works(self, api: Api, cast: Cast) -> None:
        """A new account joins, with the role and the brands it was invited with, and is signed in."""
        made = self.invite(api, cast, role="admin", email="dora@example.com", brands=[cast.brand.pk])
        name = f"dora-{cast.alice.user.username}"
        body = {"token": made["token"], "username": name, "password": STRONG, "new_account": True}

        joined = api.post(ACCEPT, body)

        assert joined.status_code == 200
        me = api.as_(joined.json()["access"]).get("/auth/me/").json()
        assert (me["username"], me["email"], me["role"]) == (name, "dora@example.com", "admin")
        assert me["company"]["id"] == cast.company.pk
        (listed,) = api.as_(cast.alice).get(INVITATIONS).json()
        assert (listed["accepted_by"], "token" in listed) == (name, False)
        assert made["token"] not in str(Invitation.objects.unscoped().filter(pk=made["id"]).values())
        entry = AuditEntry.objects.of(cast.company.pk).get(action="member.join")
        assert (entry.actor_name, entry.after["role"]) == (name, "admin")

    def test_an_account_that_is_there(self, api: Api, cast: Cast) -> None:
        token = self.invite(api, cast)["token"]
        charlie = {"token": token, "username": cast.charlie.user.username}

        wrong = api.post(ACCEPT, {**charlie, "password": "wrong horse"})
        right = api.post(ACCEPT, {**charlie, "password": "correct horse"})

        assert (wrong.status_code, wrong.json()["error_code"]) == (401, "INVALID_CREDENTIALS")
        assert right.status_code == 200
        assert Membership.objects.of(cast.company.pk).get(user=cast.charlie.user).role == "member"

    def test_it_is_good_once_for_a_while_and_until_revoked(self, api: Api, cast: Cast) -> None:
        used, late, revoked = (self.invite(api, cast) for _ in range(3))
        charlie = {"username": cast.charlie.user.username, "password": "correct horse"}
        assert api.post(ACCEPT, {"token": used["token"], **charlie}).status_code == 200
        past = clock.now() - timedelta(minutes=1)
        Invitation.objects.unscoped().filter(pk=late["id"]).update(expires_at=past)
        gone = api.as_(cast.alice).request("DELETE", f"{INVITATIONS}{revoked['id']}/")
        assert gone.json()["revoked_at"] is not None

        answers = [
            api.post(ACCEPT, {"token": token, **charlie})
            for token in (used["token"], late["token"], revoked["token"], "mhi_" + "x" * 40)
        ]

        told = {(answer.status_code, str(answer.json()["field_errors"])) for answer in answers}
        assert told == {(400, "{'token': ['This invitation is not valid, or not any more.']}")}

    @pytest.mark.parametrize("how", [{"role": "member"}, {"is_active": False}, None])
    def test_it_ends_with_its_makers_right_to_make_it(self, api: Api, cast: Cast, how: Any) -> None:
        bob = Membership.objects.of(cast.company.pk).filter(user=cast.bob.user)
        bob.update(role="admin")
        forget_callers()
        made = api.as_(cast.bob).post(INVITATIONS, {"role": "member"}).json()
        if how is None:
            bob.delete()
        else:
            bob.update(**how)
        forget_callers()

        charlie = {"username": cast.charlie.user.username, "password": "correct horse"}
        answer = api.post(ACCEPT, {"token": made["token"], **charlie})

        assert (answer.status_code, list(answer.json()["field_errors"])) == (400, ["token"])
        assert not Membership.objects.of(cast.company.pk).filter(user=cast.charlie.user).exists()

    def test_one_above_the_callers_role_is_not_theirs_to_revoke(self, api: Api, cast: Cast) -> None:
        admin = another(cast, Role.ADMIN)
        rows = {role: self.invite(api, cast, role=role)["id"] for role in ("owner", "admin")}

        refused, done = (
            api.as_(admin).request("DELETE", f"{INVITATIONS}{rows[role]}/") for role in ("owner", "admin")
        )

        assert (refused.status_code, refused.json()["error_code"]) == (403, "PERMISSION_DENIED")
        assert Invitation.objects.of(cast.company.pk).get(pk=rows["owner"]).revoked_at is None
        assert done.json()["revoked_at"] is not None
        actions = AuditEntry.objects.of(cast.company.pk).filter(action="member.uninvite")
        assert [entry.object_id for entry in actions] == [str(rows["admin"])]

    def test_a_name_is_normalised_wherever_it_is_typed(self, api: Api, cast: Cast) -> None:
        """Two names that only look alike would be two people."""
        plain = f"fei-{cast.bob.user.username}"
        wide = "\uff46" + plain[1:]  # a fullwidth f
        body = {"username": wide, "password": STRONG, "new_account": True}

        made = api.post(ACCEPT, {"token": self.invite(api, cast)["token"], **body})
        again = api.post(ACCEPT, {"token": self.invite(api, cast)["token"], **body, "username": plain})
        signed_in = api.post("/auth/token/", {"username": wide, "password": STRONG})

        assert api.as_(made.json()["access"]).get("/auth/me/").json()["username"] == plain
        assert (again.status_code, list(again.json()["field_errors"])) == (400, ["username"])
        assert signed_in.status_code == 200

    def test_what_was_accepted_is_not_revoked(self, api: Api, cast: Cast) -> None:
        made = self.invite(api, cast)
        charlie = {"username": cast.charlie.user.username, "password": "correct horse"}
        api.post(ACCEPT, {"token": made["token"], **charlie})

        answer = api.as_(cast.alice).request("DELETE", f"{INVITATIONS}{made['id']}/")

        assert (answer.status_code, answer.json()["revoked_at"]) == (200, None)

    def test_a_member_keeps_their_role(self, api: Api, cast: Cast) -> None:
        token = self.invite(api, cast, role="owner")["token"]
        body = {"token": token, "username": cast.bob.user.username, "password": "correct horse"}

        assert api.post(ACCEPT, body).status_code == 409

        assert row_of(cast.bob).role == "member"
        assert Invitation.objects.of(cast.company.pk).get().accepted_at is None

    @pytest.mark.parametrize(
        ("fields", "field"),
        [
            ({"password": "12345"}, "password"),
            ({"username": "no spaces !"}, "username"),
            ({"username": "{alice}"}, "username"),
        ],
    )
    def test_an_account_that_cannot_be_made(
        self, api: Api, cast: Cast, fields: dict[str, str], field: str
    ) -> None:
        token = self.invite(api, cast)["token"]
        fields = {name: text.format(alice=cast.alice.user.username) for name, text in fields.items()}
        body = {"token": token, "username": f"eve-{cast.bob.user.username}", "password": STRONG, **fields}

        response = api.post(ACCEPT, {**body, "new_account": True})

        assert response.status_code == 400
        assert list(response.json()["field_errors"]) == [field]
        assert Invitation.objects.of(cast.company.pk).get().accepted_at is None
        assert Membership.objects.of(cast.company.pk).count() == 2

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"role": "king"}, "role"),
            ({"email": "nobody"}, "email"),
            ({"brands": [999999999]}, "brands"),
            ({"expires_in_days": 31}, "expires_in_days"),
        ],
    )
    def test_bad_input(self, api: Api, cast: Cast, body: dict[str, Any], field: str) -> None:
        response = api.as_(cast.alice).post(INVITATIONS, body)

        assert response.status_code == 400
        assert list(response.json()["field_errors"]) == [field]
        assert not Invitation.objects.of(cast.company.pk).exists()


class TestBrands:
    def test_it_works(self, api: Api, cast: Cast) -> None:
        alice = api.as_(cast.alice)

        made = alice.post(BRANDS, {"name": "Second"})

        assert made.status_code == 201
        row = made.json()
        assert row == {
            "id": row["id"],
            "name": "Second",
            "is_active": True,
            "created_at": row["created_at"],
        }
        assert row in alice.get(BRANDS).json()
        path = f"{BRANDS}{row['id']}/"
        off = alice.request("PATCH", path, json={"name": "Third", "is_active": False})
        assert (off.status_code, off.json()) == (200, {**row, "name": "Third", "is_active": False})
        assert off.json() in alice.get(BRANDS).json()
        assert off.json() not in api.as_(cast.bob).get(BRANDS).json()
        assert api.as_(cast.bob, x_brand_id=str(row["id"])).get("/ai/jobs/").status_code == 404

    def test_who_is_bound_sees_theirs(self, api: Api, cast: Cast) -> None:
        Brand.objects.unscoped().create(company=cast.company, name="Other")
        row_of(cast.bob).brands.add(cast.brand)
        cache.forget_everything()

        assert [row["id"] for row in api.as_(cast.bob).get(BRANDS).json()] == [cast.brand.pk]

    def test_a_name_is_there_once(self, api: Api, cast: Cast) -> None:
        response = api.as_(cast.alice).post(BRANDS, {"name": cast.brand.name})

        assert response.status_code == 400
        assert response.json()["field_errors"] == {"name": ["There is a brand of this name already."]}
        assert Brand.objects.of(cast.company.pk).count() == 1
