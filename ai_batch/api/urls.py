from django.urls import URLPattern, URLResolver, path
from django.views.generic import RedirectView

from ai_batch.api import compatible, console, guide, policies, results, schedules, trials

fast_urlpatterns: list[URLPattern | URLResolver] = [
    path("v1/files", compatible.all_files, name="v1-files"),
    path("v1/files/<str:file_id>", compatible.one_file, name="v1-file"),
    path("v1/files/<str:file_id>/content", compatible.file_content, name="v1-file-content"),
    path("v1/batches", compatible.all_batches, name="v1-batches"),
    path("v1/batches/<str:batch_id>", compatible.one_batch, name="v1-batch"),
    path("v1/batches/<str:batch_id>/cancel", compatible.cancel_batch, name="v1-batch-cancel"),
    path("api/batch/create", guide.create, name="batch-create"),
    path("api/batch/upload", guide.upload, name="batch-upload"),
    path("api/batch/validate", trials.validate, name="batch-validate"),
    path("api/batch/list", guide.listed, name="batch-list"),
    path("api/batch/stats", guide.stats, name="batch-stats"),
    path("api/batch/template", guide.template, name="batch-template"),
    path("api/batch/policy", policies.policy, name="batch-policy"),
    path("api/batch/schedules", schedules.all_schedules, name="batch-schedules"),
    path("api/batch/schedules/<str:schedule_id>", schedules.one, name="batch-schedule"),
    path("api/batch/schedules/<str:schedule_id>/history", schedules.history, name="batch-schedule-history"),
    path("api/batch/<str:batch_id>", guide.one, name="batch-one"),
    path("api/batch/<str:batch_id>/cancel", guide.cancel, name="batch-cancel"),
    path("api/batch/<str:batch_id>/retry_failed", guide.retry_failed, name="batch-retry"),
    path("api/batch/<str:batch_id>/events", guide.events, name="batch-events"),
    path("api/batch/<str:batch_id>/results", results.results_of, name="batch-results"),
]
#: For people.
urlpatterns: list[URLPattern | URLResolver] = [
    path("console/batches/", console.page, name="console-batches"),
    path("console/batches/results/<str:token>", results.linked, name="console-results"),
    path("batch-api.html", RedirectView.as_view(pattern_name="console-batches"), name="console-guide"),
]
