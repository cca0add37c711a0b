from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class GuardConfig(AppConfig):
    name = "ai_guard"
    verbose_name = _("Privacy and content")
