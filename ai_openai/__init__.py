"""OpenAI's words: ``/ai/openai/…`` and the OpenAI-compatible ``/v1/…``."""
