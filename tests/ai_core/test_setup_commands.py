"""``setup_ai_infrastructure``, ``setup_ai_job_types``, ``reset_quotas``, ``ai_load_test``."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from ai_core.domain.kinds import KINDS
from ai_core.models import AIJob, AIJobType
from ai_providers import selectors, services
from ai_providers.models import AIProvider
from ai_usage.models import Budget, BudgetWindow
from ai_usage.services import quotas
from megahub.kernel import clock
from tests.stubs import Scripted, completion
from tests.world import Cast

Provider = Callable[..., Scripted]


def said(name: str, **options: Any) -> str:
    out = io.StringIO()
    call_command(name, stdout=out, **options)
    return out.getvalue()


class TestInfrastructure:
    def test_it_adds_what_is_missing_and_is_repeatable(self, cast: Cast, alone: None) -> None:
        AIProvider.objects.filter(name="google").delete()

        out = said("setup_ai_infrastructure")

        assert "providers: added google" in out
        assert "job types: all there" in out
        assert AIProvider.objects.get(name="google").display_name == "Google"
        scopes = Budget.objects.of(cast.company.pk).values_list("scope", flat=True)
        assert sorted(scopes) == ["provider"] * 8 + ["reasoning"] * 2
        assert "providers: all there" in said("setup_ai_infrastructure")
        AIProvider.objects.filter(name="google").update(
            default_model="gemini-3.5-flash", supports_files=True, supports_vision=True
        )

    def test_without_a_master_key(self, settings: Any) -> None:
        settings.AI_ENCRYPTION_KEY = ""

        with pytest.raises(CommandError, match="AI_ENCRYPTION_KEY is not set"):
            said("setup_ai_infrastructure")

    def test_the_settings_number_of_tokens(self, cast: Cast, alone: None, settings: Any) -> None:
        settings.AI_DEFAULT_MONTHLY_QUOTA = 123

        said("setup_ai_infrastructure")

        rows = Budget.objects.of(cast.company.pk).filter(scope="provider", unit="tokens")
        assert set(rows.values_list("limit", flat=True)) == {123}


def test_job_types(cast: Cast) -> None:
    AIJobType.objects.filter(name="benchmark").update(description="Mine")

    assert "benchmark: differs" in said("setup_ai_job_types")
    assert AIJobType.objects.get(name="benchmark").description == "Mine"
    assert "benchmark: put back" in said("setup_ai_job_types", reset=True)
    assert AIJobType.objects.get(name="benchmark").description == KINDS["benchmark"].description
    assert set(said("setup_ai_job_types").split()[1::2]) == {"unchanged"}


class TestResetQuotas:
    def test_it_works(self, cast: Cast) -> None:
        company = cast.company
        quotas.set_limits(company.pk, "openai", {"tokens": 10})
        budget = Budget.objects.of(company.pk).get(scope_value="openai", unit="tokens")
        start = clock.window_start("month", clock.now(), company.timezone)
        window = BudgetWindow.objects.create(budget=budget, starts_on=start, spent=9)

        out = said("reset_quotas", company=company.slug, provider="openai")

        assert f"{company.slug} openai: 1 windows forgiven\n" in out
        window.refresh_from_db()
        assert (window.spent, window.forgiven) == (9, 9)
        budget.refresh_from_db()
        assert budget.limit == 10
        said("reset_quotas", company=str(company.pk), limits=True)
        budget.refresh_from_db()
        assert budget.limit == 1_000_000

    def test_bad_input(self, cast: Cast) -> None:
        with pytest.raises(CommandError, match="Name a --company"):
            said("reset_quotas")
        with pytest.raises(CommandError, match="There is no company"):
            said("reset_quotas", company="nobody")
        with pytest.raises(CommandError, match="invalid choice"):
            call_command("reset_quotas", "--provider", "nobody")


class TestLoad:
    def test_it_works(self, cast: Cast, provider: Provider) -> None:
        scripted = provider(completion())

        out = said("ai_load_test", model="gpt-4o-mini", concurrent=3, requests=7, company=cast.company.slug)

        assert "7 jobs answered in" in out
        assert "105 tokens, 0.000032 USD." in out
        assert len(scripted.calls) == 7
        rows = AIJob.objects.of(cast.company.pk)
        assert set(rows.values_list("status", "description", "sandbox")) == {
            ("completed", "Load test", True)
        }

    def test_real_keys_cost_money(self, cast: Cast, provider: Provider) -> None:
        scripted = provider(completion())
        services.store_keys(cast.company.pk, {"openai": "sk-proj-own_key-0123456789"})
        options = {"model": "gpt-4o-mini", "requests": 2, "company": cast.company.slug}

        with pytest.raises(CommandError, match="--yes-this-costs-money"):
            said("ai_load_test", **options)
        assert scripted.calls == []

        assert "2 jobs answered" in said("ai_load_test", yes_this_costs_money=True, **options)

    def test_a_provider_on_this_machine_is_free(
        self, cast: Cast, provider: Provider, settings: Any
    ) -> None:
        provider(completion())
        settings.HUB_PROVIDERS = {
            **settings.HUB_PROVIDERS,
            "openai": {"base_url": "http://127.0.0.1:9/v1"},
        }
        services.store_keys(cast.company.pk, {"openai": "sk-proj-own_key-0123456789"})

        assert "1 jobs answered" in said(
            "ai_load_test", model="gpt-4o-mini", requests=1, company=cast.company.slug
        )
        selectors.forget()

    def test_refusals_are_counted(self, cast: Cast, provider: Provider) -> None:
        provider(completion())
        quotas.set_limits(cast.company.pk, "openai", {"tokens": 0})

        out = said("ai_load_test", model="gpt-4o-mini", requests=3, company=cast.company.slug)

        assert "0 jobs answered" in out
        assert "3 ended with QUOTA_EXCEEDED." in out

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"concurrent": 0}, "--concurrent"),
            ({"concurrent": 201}, "--concurrent"),
            ({"requests": 10_001}, "--requests"),
            ({"seconds": 0}, "--seconds"),
            ({"model": "nobody"}, "does not exist"),
            ({"company": "nobody"}, "There is no company"),
        ],
    )
    def test_bad_input(self, cast: Cast, options: dict[str, Any], message: str) -> None:
        with pytest.raises(CommandError, match=message):
            said("ai_load_test", **{"company": cast.company.slug, **options})
