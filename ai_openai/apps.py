"""The app; when it is ready, every accepted job gets an OpenAIJob beside it."""

from __future__ import annotations

from importlib import import_module

from django.apps import AppConfig


class OpenAIConfig(AppConfig):
    name = "ai_openai"
    verbose_name = "OpenAI jobs"

    def ready(self) -> None:
        # By name: the services import models, which are not loaded when this module is.
        import_module("ai_openai.services").register()
