from django.urls import path

from megahub.tenancy.api import (
    scheme,  # noqa: F401 - found by drf-spectacular once it is imported
    views,
)

urlpatterns = [
    path("token/", views.TokenView.as_view(), name="token-obtain"),
    path("token/refresh/", views.RefreshView.as_view(), name="token-refresh"),
    path("token/verify/", views.VerifyView.as_view(), name="token-verify"),
    path("token/revoke/", views.RevokeView.as_view(), name="token-revoke"),
    path("me/", views.MeView.as_view(), name="me"),
    path("keys/", views.KeysView.as_view(), name="key-list"),
    path("keys/<int:key_id>/", views.KeyView.as_view(), name="key-detail"),
]
