from django.urls import URLPattern, URLResolver, include, path
from rest_framework.routers import SimpleRouter

from ai_core.api import views
from ai_core.api.batches import BatchAnalyses, BatchResults, BatchStatus
from ai_core.api.events import job_events
from ai_core.api.privacy import Erasures, PersonExport

router = SimpleRouter()
router.register("job-types", views.JobTypes, basename="job-type")
router.register("jobs", views.Jobs, basename="job")

fast_urlpatterns: list[URLPattern | URLResolver] = [
    path("jobs/<slug:ref>/events/", job_events, name="job-events"),
]
urlpatterns = [
    *fast_urlpatterns,
    path("batch-analysis/", BatchAnalyses.as_view(), name="batch-analysis"),
    path("batch-analysis/<slug:batch_id>/status/", BatchStatus.as_view(), name="batch-analysis-status"),
    path("batch-analysis/<slug:batch_id>/results/", BatchResults.as_view(), name="batch-analysis-results"),
    path("privacy/erasures/", Erasures.as_view(), name="privacy-erasures"),
    path("privacy/export/", PersonExport.as_view(), name="privacy-export"),
    path("", include(router.urls)),
]
