from django.urls import path

from ai_openai.api import chat, compatible
from ai_openai.api.results import JobResult

fast_urlpatterns = [path("ai/openai/chat/", chat.chat_view, name="openai-chat")]
fast_urlpatterns += [
    path("v1/chat/completions", compatible.chat_completions, name="v1-chat-completions"),
    path("v1/embeddings", compatible.embeddings, name="v1-embeddings"),
    path("v1/models", compatible.models, name="v1-models"),
    path("v1/models/<path:model_id>", compatible.model, name="v1-model"),
]
urlpatterns = [
    *fast_urlpatterns,
    path("ai/openai/completion/job_result/", JobResult.as_view(), name="openai-job-result"),
]
