from django.apps import AppConfig


class ProvidersConfig(AppConfig):
    name = "ai_providers"
    verbose_name = "Providers and credentials"
