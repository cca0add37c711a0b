from django.urls import URLPattern, URLResolver, path

from ai_batch.api import compatible

fast_urlpatterns: list[URLPattern | URLResolver] = [
    path("v1/files", compatible.all_files, name="v1-files"),
    path("v1/files/<str:file_id>", compatible.one_file, name="v1-file"),
    path("v1/files/<str:file_id>/content", compatible.file_content, name="v1-file-content"),
    path("v1/batches", compatible.all_batches, name="v1-batches"),
    path("v1/batches/<str:batch_id>", compatible.one_batch, name="v1-batch"),
    path("v1/batches/<str:batch_id>/cancel", compatible.cancel_batch, name="v1-batch-cancel"),
]
urlpatterns: list[URLPattern | URLResolver] = [*fast_urlpatterns]
