"""A link from one company's row to another's cannot be stored, whoever writes it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.db import DatabaseError, IntegrityError, connection, models, transaction

from megahub.tenancy import guarding, protection
from megahub.tenancy.protection import Link
from tests.isolation import rows
from tests.world import Cast

LINKS = [link for model in protection.tenants() for link in protection.links(model)]
#: Columns that are named like a reference and are none to a row of a company.
NO_LINKS = {
    "ai_batch_batch.batch_id": "its own name",
    "ai_batch_batch.provider_batch_id": "the provider's name",
    "ai_batch_batch.provider_file_id": "the provider's name",
    "ai_batch_batchschedule.schedule_id": "its own name",
    "ai_batch_line.custom_id": "the caller's name",
    "ai_batch_line.session_id": "a process of the hub's",
    "ai_batch_storedfile.file_id": "its own name",
    "ai_core_aijob.job_id": "its own name",
    "ai_core_aijob.task_id": "Celery's name for it",
    "ai_core_aibatch.batch_id": "its own name",
    "ai_core_attempt.provider_ref": "the provider's name",
    "ai_core_searchblock.first_id": "where a range of numbers begins, of a job or not",
    "ai_core_searchblock.last_id": "where it ends",
    "ai_usage_jobrollup.job_type_id": "a type of the hub's, the same for everybody",
    "ai_usage_ledgerentry.job_ref": "the name that goes with job_id, or a caller's own",
    "ai_providers_aicredentials.infomaniak_product_id": "the provider's name",
    "ai_guard_finding.job_ref": "the job's name, which outlives it",
    "tenancy_companykey.master_key_id": "the name of a key in the environment",
    "tenancy_apikey.public_id": "its own name",
    "tenancy_idempotencykey.job_ref": "the job is made after it; it is read with the company beside it",
    "delivery_outbox.event_id": "its own name",
    "audit_auditentry.actor_id": "who it was, be it somebody who is gone",
    "audit_auditentry.api_key_id": "the key that was used, be it one that is gone",
    "audit_auditentry.object_id": "what was changed, of any kind, be it gone",
    "audit_auditentry.request_id": "the request's own name",
    "delivery_webhookdelivery.event_id": "the name of its event, which may be forgotten before it",
}
REFERENCE = re.compile(r".*_(id|ref|uid)")


def test_the_database_has_every_guard() -> None:
    """They are made after ``migrate``: a table that a migration made anew has its guards again."""
    assert guarding.missing(connection) == []
    asked = {guard.name for guard in protection.guards(connection.vendor)}
    assert set(guarding.found(connection)) == asked


def test_every_reference_by_number_is_known() -> None:
    """A new column that names another row goes into its model's ``points_to``, or is none: say why."""
    named = {
        f"{model._meta.db_table}.{field.column}"
        for model in protection.tenants()
        for field in model._meta.concrete_fields
        if not field.is_relation and REFERENCE.fullmatch(str(field.column))
    }

    assert named - {str(link) for link in LINKS} == set(NO_LINKS)


def test_the_models_of_nobody_are_these() -> None:
    """A new model belongs to a company (a key ``company``, or one to such a row) or is added here."""
    own = [model for model in apps.get_models() if model._meta.managed and not protection.belongs(model)]
    ours = {model._meta.label for model in own if not model.__module__.startswith(("django.", "allauth."))}

    assert ours == {
        "ai_core.AIJobType",
        "ai_core.ProviderGate",
        "ai_core.SearchCursor",
        "ai_core.WorkerSession",
        "ai_providers.AIModel",
        "ai_providers.AIProvider",
        "ai_providers.ExchangeRate",
        "ai_usage.RollupCursor",
        "audit.AuditHead",
        "tenancy.RefreshToken",
        "tenancy.SignIn",
        "tenancy.Throttle",
        "tenancy.User",
    }


@pytest.fixture
def undone(cast: Cast) -> Iterator[Cast]:
    """Rows made here stand for nothing that works: none of them stays."""
    with transaction.atomic():
        yield cast
        transaction.set_rollback(True)


@pytest.mark.parametrize("link", LINKS, ids=str)
def test_no_link_across_companies_is_stored(undone: Cast, link: Link) -> None:
    ours, theirs = undone.company, undone.charlie.company
    own, foreign = (rows.make(link.target, company) for company in (ours, theirs))
    field = next(f for f in link.model._meta.concrete_fields if f.column == link.column)

    scope = {"scope": link.scope} if link.scope else {}
    stored = rows.make(link.model, ours, **{field.attname: own.pk, **scope})
    with pytest.raises(IntegrityError, match=r"across companies|hub_link_|FOREIGN KEY"):
        _at_once(lambda: rows.make(link.model, ours, **{field.attname: foreign.pk, **scope}))

    if not getattr(link.model, "append_only", False):
        changed = rows.plain_manager(link.model).filter(pk=stored.pk)
        with pytest.raises(IntegrityError, match=r"across companies|hub_link_"):
            _at_once(lambda: changed.update(**{field.attname: foreign.pk}))
        assert str(getattr(changed.get(), field.attname)) == str(own.pk)


@pytest.mark.parametrize(
    "model", [m for m in protection.tenants() if protection.is_owned(m)], ids=lambda m: m._meta.label
)
def test_a_row_never_changes_its_company(undone: Cast, model: type[models.Model]) -> None:
    stored = rows.make(model, undone.company)

    with pytest.raises(DatabaseError, match=r"companies|company|append-only|permission denied"):
        _at_once(
            lambda: rows.plain_manager(model).filter(pk=stored.pk).update(company=undone.charlie.company)
        )
    assert rows.plain_manager(model).get(pk=stored.pk).company_id == undone.company.pk


def _at_once(write: Any) -> None:
    with transaction.atomic():
        write()
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
