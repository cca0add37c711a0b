from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from megahub.tenancy import checks


class TenancyConfig(AppConfig):
    name = "megahub.tenancy"
    label = "tenancy"
    verbose_name = _("Companies and people")

    def ready(self) -> None:
        checks.register_all()
