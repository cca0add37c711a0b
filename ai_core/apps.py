from django.apps import AppConfig


class CoreConfig(AppConfig):
    name = "ai_core"
    verbose_name = "Jobs"
