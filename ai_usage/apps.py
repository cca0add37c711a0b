from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class UsageConfig(AppConfig):
    name = "ai_usage"
    verbose_name = _("Usage and budgets")
