from django.urls import URLPattern, URLResolver, include, path
from rest_framework.routers import SimpleRouter

from ai_usage.api import exports, figures, views

router = SimpleRouter()
router.register("usage/exports", exports.Exports, basename="usage-export")
router.register("usage/export-schedules", exports.ExportSchedules, basename="usage-export-schedule")
router.register("usage", views.Usage, basename="usage")

urlpatterns: list[URLPattern | URLResolver] = [
    path("usage/dashboard/", figures.Dashboard.as_view(), name="usage-dashboard"),
    path("usage/cost_breakdown/", figures.CostBreakdown.as_view(), name="usage-cost-breakdown"),
    path("usage/model_comparison/", figures.ModelComparison.as_view(), name="usage-model-comparison"),
    path("usage/performance/", figures.Performance.as_view(), name="usage-performance"),
    path("usage/stats/", figures.Stats.as_view(), name="usage-stats"),
    path("usage/trends/", figures.Trends.as_view(), name="usage-trends"),
    path("usage/efficiency/", figures.Efficiency.as_view(), name="usage-efficiency"),
    path("usage/forecast/", figures.Forecast.as_view(), name="usage-forecast"),
    path("usage/export-links/<str:token>/", exports.ExportLink.as_view(), name="usage-export-link"),
    path("", include(router.urls)),
]
