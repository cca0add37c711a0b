from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class OpenAIConfig(AppConfig):
    name = "ai_openai"
    verbose_name = _("OpenAI jobs")
