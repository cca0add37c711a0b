from django.urls import path

from ai_usage.api import quotas

urlpatterns = [
    path("credentials/quota_status/", quotas.QuotaStatusView.as_view(), name="quota-status"),
    path("quotas/", quotas.QuotasView.as_view(), name="quota-list"),
]
