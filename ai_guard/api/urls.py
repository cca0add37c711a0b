from django.urls import path

from ai_guard.api import views

urlpatterns = [
    path("privacy/policy/", views.PolicyView.as_view(), name="privacy-policy"),
    path("privacy/findings/", views.FindingsView.as_view(), name="privacy-findings"),
]
