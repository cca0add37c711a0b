from django.apps import AppConfig


class UsageConfig(AppConfig):
    name = "ai_usage"
    verbose_name = "Usage and budgets"
