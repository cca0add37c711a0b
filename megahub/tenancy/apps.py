from django.apps import AppConfig

from megahub.tenancy import checks


class TenancyConfig(AppConfig):
    name = "megahub.tenancy"
    label = "tenancy"
    verbose_name = "Companies and people"

    def ready(self) -> None:
        checks.register_all()
