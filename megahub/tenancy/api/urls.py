from django.urls import path

from megahub.tenancy.api import (
    factor_views,
    member_views,
    scheme,  # noqa: F401 - found by drf-spectacular once it is imported
    views,
)

urlpatterns = [
    path("token/", views.TokenView.as_view(), name="token-obtain"),
    path("token/refresh/", views.RefreshView.as_view(), name="token-refresh"),
    path("token/verify/", views.VerifyView.as_view(), name="token-verify"),
    path("token/revoke/", views.RevokeView.as_view(), name="token-revoke"),
    path("totp/", factor_views.FactorView.as_view(), name="totp"),
    path("totp/confirm/", factor_views.ConfirmFactorView.as_view(), name="totp-confirm"),
    path("totp/recovery-codes/", factor_views.RecoveryCodesView.as_view(), name="totp-recovery-codes"),
    path("totp/remove/", factor_views.RemoveFactorView.as_view(), name="totp-remove"),
    path("me/", views.MeView.as_view(), name="me"),
    path("members/", member_views.MembersView.as_view(), name="member-list"),
    path("members/<int:pk>/", member_views.MemberView.as_view(), name="member-detail"),
    path("invitations/", member_views.InvitationsView.as_view(), name="invitation-list"),
    path("invitations/accept/", member_views.AcceptView.as_view(), name="invitation-accept"),
    path("invitations/<int:pk>/", member_views.InvitationView.as_view(), name="invitation-detail"),
    path("brands/", member_views.BrandsView.as_view(), name="brand-list"),
    path("brands/<int:pk>/", member_views.BrandView.as_view(), name="brand-detail"),
    path("keys/", views.KeysView.as_view(), name="key-list"),
    path("keys/<int:key_id>/", views.KeyView.as_view(), name="key-detail"),
]
