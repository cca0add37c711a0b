from django.urls import URLPattern, URLResolver, include, path
from rest_framework.routers import SimpleRouter

from ai_openai.api import chat, compatible
from ai_openai.api.jobs import OpenAIJobs
from ai_openai.api.models import Models, ModelSchema
from ai_openai.api.recommendations import RecommendModel
from ai_openai.api.results import JobResult

router = SimpleRouter()
router.register("jobs", OpenAIJobs, basename="openai-job")

fast_urlpatterns = [path("ai/openai/chat/", chat.chat_view, name="openai-chat")]
fast_urlpatterns += [
    path("v1/chat/completions", compatible.chat_completions, name="v1-chat-completions"),
    path("v1/embeddings", compatible.embeddings, name="v1-embeddings"),
    path("v1/models", compatible.models, name="v1-models"),
    path("v1/models/<path:model_id>", compatible.model, name="v1-model"),
]
urlpatterns: list[URLPattern | URLResolver] = [
    *fast_urlpatterns,
    path("ai/openai/completion/job_result/", JobResult.as_view(), name="openai-job-result"),
    path("ai/openai/", include(router.urls)),
    path("ai/openai/recommend_model/", RecommendModel.as_view(), name="openai-recommend-model"),
    path("ai/models/", Models.as_view(), name="models"),
    path("ai/models/<path:model_id>/schema/", ModelSchema.as_view(), name="model-schema"),
]
