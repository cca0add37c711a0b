"""The commands that operators know: health, validation, audit, backup and its way back."""

from __future__ import annotations

import io
import json
import stat
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from ai_providers import selectors, services
from ai_providers.adapters.registry import ADAPTERS
from ai_providers.domain.wire import Access
from ai_providers.models import AICredentials, SealedKey
from megahub.kernel import clock, vault
from megahub.kernel.errors import InvalidApiKey, ProviderUnavailable
from megahub.tenancy.models import Company, CompanyKey
from tests import world
from tests.stubs import Scripted
from tests.world import Cast

OPENAI = "sk-proj-a_b-C0123456789wxyz"
OTHER = "sk-proj-a_b-C0123456789efgh"
GOOGLE = "AIzaSy0123456789_-0123456789ijkl"


class ByKey(Scripted):
    """A provider that takes every key but ``REFUSED``, and cannot be reached with ``AWAY``."""

    REFUSED, AWAY = "sk-proj-refused-0123456789", "sk-proj-away-0123456789"

    async def models(self, access: Access) -> list[dict[str, Any]]:
        if access.api_key == self.REFUSED:
            raise InvalidApiKey(provider="openai")
        if access.api_key == self.AWAY:
            raise ProviderUnavailable(provider="openai")
        return []


@pytest.fixture
def openai(monkeypatch: pytest.MonkeyPatch) -> ByKey:
    scripted = ByKey()
    monkeypatch.setitem(ADAPTERS, "openai", scripted)
    return scripted


@pytest.fixture(autouse=True)
def nobody_elses_keys(database: None) -> None:
    """The commands are about the keys of all companies."""
    SealedKey.objects.unscoped().delete()


def said(name: str, **options: Any) -> str:
    out = io.StringIO()
    call_command(name, stdout=out, **options)
    return out.getvalue()


def opened(company: Company) -> dict[str, str]:
    live = selectors.live_keys(company.pk)
    return {name: key.open(selectors.base_url_of(name)) for name, key in live.items()}


class TestHealth:
    def test_of_the_hub(self, openai: ByKey, settings: Any) -> None:
        settings.HUB_PROVIDERS = {**settings.HUB_PROVIDERS, "openai": {"base_url": "x", "api_key": OPENAI}}

        out = said("ai_health_check", all_providers=True)

        assert "openai: healthy (global, " in out
        assert "anthropic: not_configured" in out
        assert OPENAI not in out

    def test_of_a_company(self, cast: Cast, openai: ByKey) -> None:
        assert "openai: healthy (sandbox, " in said(
            "ai_health_check", provider="openai", company=cast.company.slug
        )
        services.store_keys(cast.company.pk, {"openai": ByKey.REFUSED})

        with pytest.raises(CommandError, match="Not healthy: openai"):
            said("ai_health_check", provider="openai", company=str(cast.company.pk))

    def test_an_unknown_company(self) -> None:
        with pytest.raises(CommandError, match="There is no company 'nobody'"):
            said("ai_health_check", all_providers=True, company="nobody")


def test_validating_all(cast: Cast, openai: ByKey) -> None:
    services.store_keys(cast.company.pk, {"openai": OPENAI})
    services.store_keys(cast.charlie.company.pk, {"openai": ByKey.AWAY})
    assert "2 keys: 1 sound, 0 refused." in said("validate_all_credentials")
    assert SealedKey.objects.of(cast.company.pk).get().validated_at is not None
    assert SealedKey.objects.of(cast.charlie.company.pk).get().validated_at is None

    services.store_keys(cast.company.pk, {"openai": ByKey.REFUSED})
    out = io.StringIO()
    with pytest.raises(CommandError, match="1 keys were refused"):
        call_command("validate_all_credentials", stdout=out)

    assert "2 keys: 0 sound, 1 refused." in out.getvalue()
    assert ByKey.REFUSED not in out.getvalue()
    live = SealedKey.objects.of(cast.company.pk).get(retired_at=None)
    assert live.refused_at is not None


class TestAudit:
    def test_it_names_what_is_wrong(self, cast: Cast) -> None:
        services.store_keys(cast.company.pk, {"openai": OPENAI, "google": GOOGLE})
        rows = SealedKey.objects.of(cast.company.pk)
        rows.filter(provider="openai").update(created_at=clock.now() - timedelta(days=100))

        out = said("audit_ai_credentials")

        slug = cast.company.slug
        assert f"{slug} openai …wxyz, 100 days: older than 90 days: a new one must be made" in out
        assert f"{slug} google …ijkl, 0 days: nothing to say" in out
        assert "2 keys, 1 with findings." in out
        assert "nothing to say" in said("audit_ai_credentials", max_age_days=101).splitlines()[0]

    def test_a_key_that_does_not_open(self, cast: Cast) -> None:
        services.store_keys(cast.company.pk, {"openai": OPENAI})
        SealedKey.objects.of(cast.company.pk).update(sealed=b"x" * 40)

        assert "does not open" in said("audit_ai_credentials")

    def test_rotation_wraps_again_and_retires_what_is_refused(self, cast: Cast, settings: Any) -> None:
        Company.objects.filter(pk=cast.company.pk).update(use_sandbox=False)
        services.store_keys(cast.company.pk, {"openai": OPENAI, "google": GOOGLE})
        services.mark_refused(SealedKey.objects.of(cast.company.pk).get(provider="openai").pk)
        settings.AI_ENCRYPTION_KEY = f"{vault.new_master_key('new')},{settings.AI_ENCRYPTION_KEY}"

        out = said("audit_ai_credentials", rotate_expired=True)

        assert "its data key is wrapped by the master key" in out
        assert f"{cast.company.slug} openai …wxyz: retired." in out
        assert CompanyKey.objects.of(cast.company.pk).get().master_key_id == "new"
        assert opened(cast.company) == {"google": GOOGLE}
        # The other tests' keys are under the key that this one takes away again.
        settings.AI_ENCRYPTION_KEY = ",".join(settings.AI_ENCRYPTION_KEY.split(",")[::-1])
        said("audit_ai_credentials", rotate_expired=True)

    def test_nobody_falls_to_the_sandbox(self, cast: Cast) -> None:
        services.store_keys(cast.company.pk, {"openai": OPENAI})
        services.mark_refused(SealedKey.objects.of(cast.company.pk).get().pk)

        out = said("audit_ai_credentials", rotate_expired=True)

        assert "left, since the sandbox would answer" in out
        assert opened(cast.company) == {"openai": OPENAI}

    def test_bad_input(self) -> None:
        with pytest.raises(CommandError, match="max-age-days"):
            said("audit_ai_credentials", max_age_days=0)


class TestBackup:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        return tmp_path / "keys.backup"

    def test_there_and_back(self, cast: Cast, file: Path) -> None:
        services.store_keys(
            cast.company.pk, {"openai": OPENAI}, by=cast.alice.user.pk, infomaniak_product_id="42"
        )
        services.store_keys(cast.company.pk, {"openai": OTHER, "google": GOOGLE}, by=cast.bob.user.pk)
        before = history(cast)

        assert "3 keys are in" in said("backup_credentials", output=file)

        text = file.read_text()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        for secret in (OPENAI, OTHER, GOOGLE, cast.company.slug, "wxyz"):
            assert secret not in text
        SealedKey.objects.of(cast.company.pk).delete()
        AICredentials.objects.of(cast.company.pk).delete()
        CompanyKey.objects.of(cast.company.pk).delete()
        assert "3 keys restored, 0 were there." in said("restore_credentials", input=file)
        assert history(cast) == before
        assert opened(cast.company) == {"openai": OTHER, "google": GOOGLE}
        row = selectors.credentials_of(cast.company.pk)
        assert row is not None
        assert row.infomaniak_product_id == "42"
        assert "0 keys restored, 3 were there." in said("restore_credentials", input=file)

    def test_into_an_installation_whose_numbers_differ(self, cast: Cast, file: Path) -> None:
        services.store_keys(cast.company.pk, {"openai": OPENAI})
        said("backup_credentials", output=file)
        SealedKey.objects.of(cast.company.pk).delete()
        slug = cast.company.slug
        Company.objects.filter(pk=cast.company.pk).update(slug=f"{slug}-old")
        other, _ = world.make_company(f"{cast.company.name} anew")
        Company.objects.filter(pk=other.pk).update(slug=slug)

        said("restore_credentials", input=file)

        assert opened(other) == {"openai": OPENAI}
        assert opened(cast.company) == {}

    def test_a_key_in_use_stays_unless_it_is_replaced(self, cast: Cast, file: Path) -> None:
        services.store_keys(cast.company.pk, {"openai": OPENAI})
        said("backup_credentials", output=file)
        SealedKey.objects.of(cast.company.pk).delete()
        services.store_keys(cast.company.pk, {"openai": OTHER})

        out = said("restore_credentials", input=file)

        assert f"{cast.company.slug} openai: left out, another key is in use" in out
        assert opened(cast.company) == {"openai": OTHER}
        said("restore_credentials", input=file, replace=True)
        assert opened(cast.company) == {"openai": OPENAI}
        assert SealedKey.objects.of(cast.company.pk).exclude(retired_at=None).get().last_four == "efgh"

    def test_without_the_master_key_it_is_nothing(self, cast: Cast, file: Path, settings: Any) -> None:
        services.store_keys(cast.company.pk, {"openai": OPENAI})
        said("backup_credentials", output=file)
        SealedKey.objects.of(cast.company.pk).delete()
        own = settings.AI_ENCRYPTION_KEY.split(":")[0]

        for key in (vault.new_master_key("another"), vault.new_master_key(own)):
            settings.AI_ENCRYPTION_KEY = key
            with pytest.raises(CommandError, match="does not open"):
                said("restore_credentials", input=file)

        assert not SealedKey.objects.of(cast.company.pk).exists()

    @pytest.mark.parametrize("field", ["sealed", "wrapped", "uid"])
    def test_a_changed_file_is_refused(self, cast: Cast, file: Path, field: str) -> None:
        services.store_keys(cast.company.pk, {"openai": OPENAI})
        said("backup_credentials", output=file)
        told = json.loads(file.read_text())
        told[field] = ("B" if told[field][0] == "A" else "A") + told[field][1:]
        file.write_text(json.dumps(told))

        with pytest.raises(CommandError, match="does not open"):
            said("restore_credentials", input=file)

    @pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": "other"}', '{"format": 1}'])
    def test_a_file_that_is_no_backup(self, file: Path, text: str) -> None:
        file.write_text(text)

        with pytest.raises(CommandError, match="This is no backup"):
            said("restore_credentials", input=file)

    def test_files_that_are_there_or_not(self, cast: Cast, file: Path) -> None:
        with pytest.raises(CommandError, match="No such file"):
            said("restore_credentials", input=file)
        file.write_text("mine")
        with pytest.raises(CommandError, match="File exists"):
            said("backup_credentials", output=file)
        assert file.read_text() == "mine"


def history(cast: Cast) -> list[tuple[Any, ...]]:
    rows = SealedKey.objects.of(cast.company.pk).order_by("uid")
    return list(
        rows.values_list(
            "uid", "provider", "last_four", "created_at", "created_by", "retired_at", "retired_by"
        )
    )
