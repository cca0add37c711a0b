from django.apps import AppConfig
from django.db.models.signals import post_migrate, pre_migrate
from django.utils.translation import gettext_lazy as _

from megahub.tenancy import checks, guarding


class TenancyConfig(AppConfig):
    name = "megahub.tenancy"
    label = "tenancy"
    verbose_name = _("Companies and people")

    def ready(self) -> None:
        checks.register_all()
        # Django tells each application of a migration: this one is told once.
        pre_migrate.connect(guarding.withdraw, sender=self)
        post_migrate.connect(guarding.apply, sender=self)
