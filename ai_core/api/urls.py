from django.urls import URLPattern, URLResolver, include, path, re_path
from rest_framework.routers import SimpleRouter

from ai_core.api import views
from ai_core.api.events import job_events

router = SimpleRouter()
router.register("job-types", views.JobTypes, basename="job-type")
router.register("jobs", views.Jobs, basename="job")

fast_urlpatterns: list[URLPattern | URLResolver] = [
    re_path(r"^jobs/(?P<ref>[A-Za-z0-9_]{1,40})/events/$", job_events, name="job-events"),
]
urlpatterns = [*fast_urlpatterns, path("", include(router.urls))]
