"""Every path of the hub. The fast ones are answered on the hot lane (``asgi.py``)."""

from django.conf import settings
from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from ai_batch.api import urls as batches
from ai_core.api import urls as jobs
from ai_openai.api import urls as openai
from ai_providers.api import urls as providers
from ai_usage.api import quota_urls as quotas
from megahub import health
from megahub.tenancy.admin.people import OwnPassword

fast_urlpatterns: list[URLPattern | URLResolver] = [
    *openai.fast_urlpatterns,
    *batches.fast_urlpatterns,
    path("ai/", include(jobs.fast_urlpatterns)),
    path("healthz", health.alive, name="healthz"),
]
urlpatterns = [
    *fast_urlpatterns,
    path("readyz", health.ready, name="readyz"),
    path("metrics", health.metrics, name="metrics"),
    path("auth/", include("megahub.tenancy.api.urls")),
    path("ai/", include(jobs.urlpatterns)),
    path("ai/", include(quotas.urlpatterns)),
    path("ai/", include(providers.urlpatterns)),
    path("ai/", include("megahub.delivery.api.urls")),
    path("api/ai/", include("megahub.audit.api.urls")),
    path("ai/", include("ai_guard.api.urls")),
    path("ai/", include("ai_usage.api.alert_urls")),
    path("ai/", include("ai_usage.api.urls")),
    path("", include(openai.urlpatterns)),
    path("", include(batches.urlpatterns)),
    path("", RedirectView.as_view(url="/docs/"), name="home"),
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path(
        "docs/", SpectacularSwaggerView.as_view(url_name="schema", template_name="docs.html"), name="docs"
    ),
    path(
        "admin/password_change/", admin.site.admin_view(OwnPassword.as_view()), name="own-password-change"
    ),
    path("admin/", admin.site.urls),
]
if settings.HUB_ACCOUNTS:
    to_accounts = RedirectView.as_view(pattern_name="account_login", query_string=True)
    urlpatterns[:0] = [
        path("admin/login/", to_accounts),
        path("accounts/", include("megahub.tenancy.signing_in_urls")),
    ]
handler404 = "megahub.kernel.drf.not_found"
handler500 = "megahub.kernel.drf.server_error"
