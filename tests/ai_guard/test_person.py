"""A person's data: handed out as a whole, erased as a whole; nobody else's, and no bill."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from ai_core import pipeline
from ai_core.models import AIJob
from ai_core.services import forgetting
from ai_guard.models import Erasure
from ai_usage.models import LedgerEntry
from megahub.audit.models import AuditEntry
from megahub.kernel import cache, loop
from megahub.tenancy.models import Membership
from tests.conftest import Api
from tests.stubs import Scripted, completion
from tests.world import Cast

Provider = Callable[..., Scripted]
ERASURES, EXPORT = "/ai/privacy/erasures/", "/ai/privacy/export/"


def body(who: str, field: str = "user", **more: Any) -> dict[str, Any]:
    return {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": f"prompt of {who}"}],
        field: who,
        **more,
    }


@pytest.fixture
def said(api: Api, cast: Cast, provider: Provider) -> None:
    provider(completion("an answer"))
    for who, field in (("anna", "user"), ("anna", "safety_identifier"), ("ben", "user")):
        assert api.as_(cast.alice).post("/v1/chat/completions", body(who, field)).status_code == 200
    assert api.as_(cast.charlie).post("/v1/chat/completions", body("anna")).status_code == 200


def records(api: Api, cast: Cast, who: str) -> list[dict[str, Any]]:
    response = api.as_(cast.alice).get(EXPORT, params={"end_user": who})
    assert response.status_code == 200
    return [json.loads(line) for line in response.text.splitlines()]


def test_export(api: Api, cast: Cast, said: None) -> None:
    found = records(api, cast, "anna")

    assert [record["kind"] for record in found] == ["job", "job"]
    for record in found:
        assert record["end_user"] == "anna"
        assert record["input_data"]["messages"][0]["content"] == "prompt of anna"
        assert record["response"]["choices"][0]["message"]["content"] == "an answer"
    assert records(api, cast, "nobody") == []
    entries = AuditEntry.objects.of(cast.company.pk)
    assert [(entry.action, entry.after) for entry in entries] == [("person.export", {"member": None})] * 2
    assert api.as_(cast.alice).get(EXPORT).status_code == 400
    assert api.as_(cast.alice).get(EXPORT, params={"end_user": "x", "company": 1}).status_code == 400


def test_erasure(api: Api, cast: Cast, said: None) -> None:
    bills = list(LedgerEntry.objects.of(cast.company.pk).order_by("pk").values())

    response = api.as_(cast.alice).post(ERASURES, {"end_user": "anna"})

    assert response.status_code == 201
    told = response.json()
    assert (told["jobs"], told["waiting"], told["created_by"]) == (2, 0, cast.alice.user.pk)
    kept = str(list(AIJob.objects.of(cast.company.pk).values()))
    assert "anna" not in kept
    assert "prompt of ben" in kept
    assert "prompt of anna" in str(list(AIJob.objects.of(cast.charlie.company.pk).values()))
    assert list(LedgerEntry.objects.of(cast.company.pk).order_by("pk").values()) == bills
    assert [record["kind"] for record in records(api, cast, "anna")] == ["erasure"]
    assert "anna" not in str(list(Erasure.objects.of(cast.company.pk).values()))
    assert api.as_(cast.alice).get(ERASURES).json() == [told]
    assert api.as_(cast.charlie).get(ERASURES).json() == []


@pytest.mark.parametrize(
    "asked",
    [
        *({}, {"end_user": ""}, {"end_user": "x" * 256}, {"user": "anna"}, {"end_user": 1.5e400}),
        *({"end_user": "anna", "member": 1}, {"member": 0}, {"member": "anna"}, {"member": None}),
    ],
)
def test_bad_input_erases_nothing(api: Api, cast: Cast, said: None, asked: Any) -> None:
    content = json.dumps(asked).encode()
    headers = {"Content-Type": "application/json"}
    response = api.as_(cast.alice).request("POST", ERASURES, content=content, headers=headers)

    assert response.status_code == 400
    assert AIJob.objects.of(cast.company.pk).filter(end_user="anna").count() == 2


def test_a_job_that_has_not_ended_is_forgotten_when_it_does(
    api: Api, cast: Cast, provider: Provider, rung: list[Any]
) -> None:
    provider(completion("an answer"))
    api.as_(cast.alice).post("/ai/openai/chat/", body("anna", **{"async": True}))
    job = AIJob.objects.of(cast.company.pk).get()

    told = api.as_(cast.alice).post(ERASURES, {"end_user": "anna"}).json()
    assert (told["jobs"], told["waiting"]) == (0, 1)
    loop.run(pipeline.work(job.pk))
    AIJob.objects.of(cast.company.pk).update(forget_at=job.created_at)
    forgetting.forget_due()

    kept = AIJob.objects.of(cast.company.pk).values().get()
    assert kept["status"] == "completed"
    assert "anna" not in str(kept)
    assert kept["response"] is None


class TestMembers:
    """What somebody sent who signs in to the hub: for owners, in person."""

    @staticmethod
    def export(caller: Api, member: int) -> list[dict[str, Any]]:
        response = caller.get(EXPORT, params={"member": member})
        assert response.status_code == 200, response.text
        return [json.loads(line) for line in response.text.splitlines()]

    def test_it_works(self, api: Api, cast: Cast, said: None) -> None:
        assert api.as_(cast.bob).post("/v1/chat/completions", body("carla")).status_code == 200
        alice, bob = api.as_(cast.alice), cast.bob.user.pk

        before = self.export(alice, bob)
        told = alice.post(ERASURES, {"member": bob})

        assert [record["end_user"] for record in before] == ["carla"]
        assert told.status_code == 201
        assert (told.json()["jobs"], told.json()["waiting"]) == (1, 0)
        after = self.export(alice, bob)
        assert [record["kind"] for record in after] == ["job", "erasure"]
        assert "carla" not in str(after)
        assert [record["kind"] for record in self.export(alice, cast.alice.user.pk)] == ["job"] * 3
        entries = list(AuditEntry.objects.of(cast.company.pk).order_by("seq"))
        assert [entry.action for entry in entries] == ["person.export", "person.erase"] + [
            "person.export"
        ] * 2
        assert [entry.after["member"] for entry in entries] == [bob, bob, bob, cast.alice.user.pk]

    def test_somebody_who_has_left(self, api: Api, cast: Cast, said: None) -> None:
        assert api.as_(cast.bob).post("/v1/chat/completions", body("carla")).status_code == 200
        Membership.objects.of(cast.company.pk).filter(user=cast.bob.user).delete()

        assert api.as_(cast.alice).post(ERASURES, {"member": cast.bob.user.pk}).json()["jobs"] == 1

    def test_a_strangers_member_is_like_nobody(self, api: Api, cast: Cast, said: None) -> None:
        charlie = cast.charlie.user.pk

        told = [api.as_(cast.alice).post(ERASURES, {"member": who}).json() for who in (charlie, 10**12)]

        assert [(each["jobs"], each["waiting"]) for each in told] == [(0, 0), (0, 0)]
        assert self.export(api.as_(cast.alice), charlie) == [
            {"kind": "erasure", "created_at": told[0]["created_at"], "jobs": 0}
        ]
        assert "prompt of anna" in str(list(AIJob.objects.of(cast.charlie.company.pk).values()))

    @pytest.mark.parametrize("who", ["admin", "key", "bound"])
    def test_who_may_not(self, api: Api, cast: Cast, said: None, who: str) -> None:
        """An administrator, an owner's API key, an owner who is bound to a brand."""
        row = Membership.objects.of(cast.company.pk).get(user=cast.alice.user)
        token = cast.alice.api_key("privacy:manage") if who == "key" else cast.alice.token
        if who == "admin":
            Membership.objects.of(cast.company.pk).update(role="admin")
        elif who == "bound":
            row.brands.set([cast.brand])
        cache.forget_everything()
        own = {"member": cast.alice.user.pk}

        answers = [
            api.as_(token).post(ERASURES, own),
            api.as_(token).get(EXPORT, params=own),
        ]

        assert [answer.status_code for answer in answers] == [403, 403]
        assert AIJob.objects.of(cast.company.pk).filter(input_data={}).count() == 0
        assert not AuditEntry.objects.of(cast.company.pk).exists()
        assert api.as_(token).post(ERASURES, {"end_user": "anna"}).status_code == 201


class TestCommands:
    """The same for an operator, and for a member of a company."""

    @staticmethod
    def run(name: str, cast: Cast, *who: str) -> str:
        out = io.StringIO()
        call_command(name, "--company", cast.company.slug, *who, stdout=out)
        return out.getvalue()

    def test_of_an_end_user(self, cast: Cast, said: None) -> None:
        found = [
            json.loads(line) for line in self.run("export_person", cast, "--end-user", "anna").splitlines()
        ]
        assert [record["end_user"] for record in found] == ["anna", "anna"]

        told = self.run("erase_person", cast, "--end-user", "anna")

        assert told == "2 jobs were emptied, 0 will be when they end.\n"
        assert "prompt of anna" not in str(list(AIJob.objects.of(cast.company.pk).values()))
        assert "prompt of ben" in str(list(AIJob.objects.of(cast.company.pk).values()))

    def test_of_a_member(self, api: Api, cast: Cast, said: None) -> None:
        assert api.as_(cast.bob).post("/v1/chat/completions", body("carla")).status_code == 200
        bob, alice = ("--member", cast.bob.user.username), ("--member", cast.alice.user.username)
        assert len(self.run("export_person", cast, *alice).splitlines()) == 3
        assert "prompt of carla" in self.run("export_person", cast, *bob)

        told = self.run("erase_person", cast, *bob)

        assert told == "1 jobs were emptied, 0 will be when they end.\n"
        after = self.run("export_person", cast, *bob)
        assert "prompt of carla" not in after
        assert json.loads(after.splitlines()[-1])["kind"] == "erasure"
        assert "prompt of ben" in self.run("export_person", cast, *alice)

    def test_a_stranger_is_no_member(self, cast: Cast) -> None:
        with pytest.raises(CommandError, match="is no member of"):
            self.run("erase_person", cast, "--member", cast.charlie.user.username)

    def test_an_erasure_of_a_member_is_no_end_users(self, cast: Cast) -> None:
        number = cast.bob.user.pk
        self.run("erase_person", cast, "--member", cast.bob.user.username)

        for name in (str(number), f"member {number}"):
            assert self.run("export_person", cast, "--end-user", name) == ""
