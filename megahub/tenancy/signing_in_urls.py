"""``/accounts/…``: signing in, the second factor, the provider of identities; where they are on."""

from allauth.account import views
from allauth.socialaccount import views as social
from django.conf import settings
from django.urls import include, path

from megahub.tenancy.signing_in import PutDown, SetUp, closed

#: In the place of django-allauth's, by the same names.
second_factor = [
    path("2fa/totp/activate/", SetUp.as_view()),
    path("2fa/totp/deactivate/", PutDown.as_view()),
]
urlpatterns = [
    *(second_factor if settings.HUB_TOTP != "off" else []),
    path("login/", views.login, name="account_login"),
    path("logout/", views.logout, name="account_logout"),
    path("inactive/", views.account_inactive, name="account_inactive"),
    path("reauthenticate/", views.reauthenticate, name="account_reauthenticate"),
    path("2fa/", include("allauth.mfa.urls")),
    path("", include("allauth.socialaccount.providers.openid_connect.urls")),
    path("3rdparty/login/cancelled/", social.login_cancelled, name="socialaccount_login_cancelled"),
    path("3rdparty/login/error/", social.login_error, name="socialaccount_login_error"),
    path("3rdparty/", closed, name="socialaccount_connections"),
    path("3rdparty/signup/", closed, name="socialaccount_signup"),
    path("signup/", closed, name="account_signup"),
    path("email/", closed, name="account_email"),
    path("confirm-email/", closed, name="account_email_verification_sent"),
    path("password/change/", closed, name="account_change_password"),
    path("password/set/", closed, name="account_set_password"),
    path("password/reset/", closed, name="account_reset_password"),
]
