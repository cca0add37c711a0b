"""The chain: append-only, whole under concurrency, and every way of tampering shows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command, get_commands, load_command_class
from django.db import DatabaseError, connection, transaction

from ai_usage.models import AIUsageAlert
from ai_usage.tasks import verify_audit
from megahub.audit.models import AuditEntry, AuditHead
from megahub.audit.services import anchors, verifying
from megahub.kernel import trail
from tests.conftest import as_owner
from tests.world import Cast

TRIGGERS = {
    "postgresql": (
        "ALTER TABLE audit_auditentry DISABLE TRIGGER USER",
        "ALTER TABLE audit_audithead DISABLE TRIGGER USER",
        "ALTER TABLE audit_auditentry ENABLE TRIGGER USER",
        "ALTER TABLE audit_audithead ENABLE TRIGGER USER",
    )
}


@pytest.fixture(autouse=True)
def anchored(settings: Any, tmp_path: Path) -> Path:
    settings.HUB_AUDIT_ANCHORS = tmp_path / "heads" / "anchors.jsonl"
    return Path(settings.HUB_AUDIT_ANCHORS)


@pytest.fixture
def chain(cast: Cast) -> int:
    """Five entries of Alice's company."""
    for number in range(5):
        write(cast.company.pk, number)
    return int(cast.company.pk)


def write(company_id: int, number: int) -> None:
    entry = trail.Entry(
        trail.system("test"), "test.write", company_id, after={"number": number, "é": "\u2028"}
    )
    with transaction.atomic():
        trail.record(entry)


@pytest.fixture
def tamper(chain: int) -> Iterator[Callable[..., None]]:
    """Change the tables as somebody with all rights on the database would; undone afterwards."""
    rows = list(AuditEntry.objects.unscoped().filter(chain=chain).order_by("seq"))
    guards: list[tuple[str, str]] = []
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(
                "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'hub_audit%'"
            )
            guards = list(cursor.fetchall())
        for name, _ in guards:
            cursor.execute(f"DROP TRIGGER {name}")
    with as_owner() as cursor:
        for statement in TRIGGERS.get(connection.vendor, ())[:2]:
            cursor.execute(statement)

    def run(statement: str, *params: Any) -> None:
        with as_owner() as cursor:
            cursor.execute(statement, params)

    yield run
    run("DELETE FROM audit_auditentry WHERE chain = %s", chain)
    AuditEntry.objects.unscoped().bulk_create(rows)
    run("UPDATE audit_audithead SET seq = 5, hash = %s WHERE chain = %s", rows[-1].hash, chain)
    with as_owner() as cursor:
        for statement in TRIGGERS.get(connection.vendor, ())[2:]:
            cursor.execute(statement)
    with connection.cursor() as cursor:
        for _, sql in guards:
            cursor.execute(sql)
    assert verifying.verify(chain).faults == ()


def said(chain: int) -> list[tuple[int, str]]:
    return [(fault.seq, fault.what) for fault in verifying.verify(chain).faults]


def test_a_chain_is_whole(chain: int) -> None:
    found = verifying.verify(chain)

    assert (found.chains, found.entries, found.faults) == (1, 5, ())


def test_a_company_without_a_change_has_nothing_wrong(cast: Cast) -> None:
    """Companies may be older than the trail."""
    found = verifying.verify(cast.company.pk)

    assert (found.chains, found.entries, found.faults) == (1, 0, ())


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_auditentry SET reason = 'other' WHERE chain = %s",
        "DELETE FROM audit_auditentry WHERE chain = %s",
        "DELETE FROM audit_audithead WHERE chain = %s",
        "UPDATE audit_audithead SET seq = 1 WHERE chain = %s",
    ],
)
def test_the_database_refuses(chain: int, statement: str) -> None:
    """To the role that owns the tables as well; the application's may not even try (test_rows.py)."""
    with pytest.raises(DatabaseError, match="append-only"), as_owner() as cursor:
        cursor.execute(statement, [chain])

    assert verifying.verify(chain).faults == ()


def test_an_edited_entry_is_found(chain: int, tamper: Callable[..., None]) -> None:
    tamper("UPDATE audit_auditentry SET actor_name = 'somebody else' WHERE chain = %s AND seq = 3", chain)

    assert said(chain) == [(3, "is not what was written")]


def test_an_edited_and_hashed_entry_is_found(chain: int, tamper: Callable[..., None]) -> None:
    row = AuditEntry.objects.of(chain).filter(seq=3).values(*verifying.COLUMNS).get()
    hash = trail.digest({**row, "reason": "forged"})
    tamper(
        "UPDATE audit_auditentry SET reason = 'forged', hash = %s WHERE chain = %s AND seq = 3", hash, chain
    )

    assert said(chain) == [(4, "does not follow the entry before it")]


def test_a_deleted_entry_is_found(chain: int, tamper: Callable[..., None]) -> None:
    tamper("DELETE FROM audit_auditentry WHERE chain = %s AND seq = 3", chain)

    assert said(chain) == [(3, "missing up to 3")]


def test_two_entries_in_each_others_place_are_found(chain: int, tamper: Callable[..., None]) -> None:
    for old, new in ((2, 99), (3, 2), (99, 3)):
        tamper("UPDATE audit_auditentry SET seq = %s WHERE chain = %s AND seq = %s", new, chain, old)

    assert {seq for seq, _ in said(chain)} == {2, 3, 4}


def test_a_cut_off_end_is_found(chain: int, tamper: Callable[..., None]) -> None:
    tamper("DELETE FROM audit_auditentry WHERE chain = %s AND seq = 5", chain)

    assert said(chain) == [(4, "is the last one, but the head is at 5")]


def test_a_head_that_is_gone_is_found(chain: int, tamper: Callable[..., None]) -> None:
    head = AuditHead.objects.get(chain=chain)
    tamper("DELETE FROM audit_audithead WHERE chain = %s", chain)

    assert said(chain) == [(5, "is the last one, but the head is at 0")]
    head.save(force_insert=True)


def test_a_cut_off_end_with_its_head_is_found_by_the_anchor(
    chain: int, tamper: Callable[..., None]
) -> None:
    anchors.drop()
    hash = AuditEntry.objects.of(chain).get(seq=4).hash
    tamper("DELETE FROM audit_auditentry WHERE chain = %s AND seq = 5", chain)
    tamper("UPDATE audit_audithead SET seq = 4, hash = %s WHERE chain = %s", hash, chain)

    assert said(chain) == [(4, "is the last one, but an anchor knows 5")]


def test_a_rewritten_end_is_found_by_the_anchor(chain: int, tamper: Callable[..., None]) -> None:
    anchors.drop()
    row = AuditEntry.objects.of(chain).filter(seq=5).values(*verifying.COLUMNS).get()
    hash = trail.digest({**row, "reason": "forged"})
    tamper("UPDATE audit_auditentry SET reason='forged', hash=%s WHERE chain=%s AND seq=5", hash, chain)
    tamper("UPDATE audit_audithead SET hash = %s WHERE chain = %s", hash, chain)

    assert said(chain) == [(5, "is not what the anchor outside the database says")]


def test_an_anchor_that_somebody_else_wrote_is_told(chain: int, anchored: Path) -> None:
    anchors.drop()
    assert anchors.drop() == 0
    with anchored.open("a") as file:
        file.write('{"chain": 1, "seq": 1, "hash": "ff", "signed": "ff"}\nno json\n')

    (fault,) = [fault for fault in verifying.verify().faults if fault.chain == trail.HUB]
    assert fault.what == "2 anchors outside the database are not signed by us"


def test_after_a_half_written_line_the_next_anchor_stands(chain: int, anchored: Path) -> None:
    anchors.drop()
    with anchored.open("a") as file:
        file.write('{"chain": 1, "se')
    write(chain, 5)

    assert anchors.drop() == 1

    known, strange = anchors.read()
    assert (max(known[chain]), strange) == (6, 1)
    assert anchors.drop() == 0


def test_the_command_and_the_chore_tell(
    cast: Cast, chain: int, tamper: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("verify_audit", company=chain)
    assert capsys.readouterr().out == "5 entries in 1 chains, 0 faults.\n"
    tamper("UPDATE audit_auditentry SET reason = 'x' WHERE chain = %s AND seq = 1", chain)

    with pytest.raises(CommandError, match="1 faults"):
        call_command("verify_audit", company=chain)
    verify_audit()
    verify_audit()

    alert = AIUsageAlert.objects.of(chain).get()
    assert (alert.alert_type, alert.severity) == ("audit_broken", "critical")
    assert alert.message == (
        f"The audit trail is not whole (1): chain {chain}, entry 1: is not what was written."
    )
    assert not AIUsageAlert.objects.of(cast.charlie.company.pk).exists()


def test_many_at_once_make_one_chain(cast: Cast) -> None:
    def work(number: int) -> None:
        for _ in range(5):
            write(cast.company.pk, number)
        connection.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    found = verifying.verify(cast.company.pk)
    assert (found.entries, found.faults) == (40, ())


def test_what_is_undone_leaves_no_entry(cast: Cast) -> None:
    class Undone(Exception):
        pass

    with pytest.raises(Undone), transaction.atomic():
        write(cast.company.pk, 1)
        raise Undone

    assert AuditEntry.objects.of(cast.company.pk).count() == 0
    with pytest.raises(RuntimeError, match="transaction"):
        trail.record(trail.Entry(trail.system("test"), "test.write", cast.company.pk))


#: Commands that change nothing in the database.
READS = {
    "ai_health_check",
    "batch",  # what it makes are files and batches, which say by whom
    "check_rollups",
    "make_master_key",
    "verify_audit",
    "verify_ledger",
}
OURS = ("ai_", "megahub")


def test_every_command_that_changes_something_is_recorded() -> None:
    ours = {name: app for name, app in get_commands().items() if str(app).startswith(OURS)}
    unrecorded = {
        name
        for name, app in ours.items()
        if not hasattr(load_command_class(str(app), name).handle, "recorded")
    }

    assert unrecorded == READS


def test_a_command_leaves_one_entry(cast: Cast) -> None:
    hub = AuditEntry.objects.unscoped().filter(chain=trail.HUB)
    before = hub.count()

    call_command("reset_quotas", company=cast.company.slug, provider="openai")

    entry = hub.order_by("-seq")[0]
    assert hub.count() == before + 1
    assert (entry.action, entry.actor_kind) == ("quota.reset", "command")
    assert entry.actor_name.startswith("reset_quotas (")
    assert entry.after == {"company": cast.company.slug, "provider": "openai", "limits": False}
