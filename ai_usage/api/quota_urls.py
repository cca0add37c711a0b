from django.urls import URLPattern, URLResolver, path
from rest_framework.routers import SimpleRouter

from ai_usage.api import budgets, quotas, rate_limits

router = SimpleRouter()
router.register("budgets", budgets.Budgets, basename="budget")
router.register("rate-limits", rate_limits.RateLimits, basename="rate-limit")

urlpatterns: list[URLPattern | URLResolver] = [
    *router.urls,
    path("credentials/quota_status/", quotas.QuotaStatusView.as_view(), name="quota-status"),
    path("quotas/", quotas.QuotasView.as_view(), name="quota-list"),
]
