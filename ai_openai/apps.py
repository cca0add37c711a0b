from django.apps import AppConfig


class OpenAIConfig(AppConfig):
    name = "ai_openai"
    verbose_name = "OpenAI jobs"
