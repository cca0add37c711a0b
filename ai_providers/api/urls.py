from django.urls import URLPattern, URLResolver, include, path
from rest_framework.routers import SimpleRouter

from ai_providers.api import views

router = SimpleRouter()
router.register("providers", views.Providers, basename="provider")
router.register("credentials", views.Credentials, basename="credentials")

urlpatterns: list[URLPattern | URLResolver] = [
    path("credentials/history/", views.KeyHistory.as_view({"get": "list"}), name="credentials-history"),
    path("", include(router.urls)),
]
