from django.urls import include, path, re_path
from rest_framework.routers import SimpleRouter

from megahub.delivery.api import views

endpoints = SimpleRouter()
endpoints.register("webhooks", views.Webhooks, basename="webhook")
deliveries = SimpleRouter()
deliveries.register("deliveries", views.Deliveries, basename="webhook-delivery")

urlpatterns = [
    path("", include(endpoints.urls)),
    re_path(rf"^webhooks/(?P<webhook_pk>{views.NUMBER})/", include(deliveries.urls)),
]
