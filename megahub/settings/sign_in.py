"""Other ways into the admin, off unless named: a second factor (TOTP), a provider of identities (OIDC).

django-allauth is installed as an application and has its tables everywhere, so that turning one of them on
takes no migration; its pages are there only where one is on. ``base`` takes this in.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from megahub.settings import env

TOTP_CHOICES = ("off", "optional", "required")

#: ``optional``: who has set it up is asked for it; ``required``: staff without one set it up first.
HUB_TOTP = env.text("HUB_TOTP", "off").lower()
if HUB_TOTP not in TOTP_CHOICES:
    raise ImproperlyConfigured(f"HUB_TOTP must be one of {', '.join(TOTP_CHOICES)}, not {HUB_TOTP!r}.")
#: The issuer of a provider of identities, as in https://login.example.com/realms/staff.
HUB_OIDC_URL = env.text("HUB_OIDC_URL").rstrip("/")
HUB_OIDC_CLIENT_ID = env.text("HUB_OIDC_CLIENT_ID")
HUB_OIDC_CLIENT_SECRET = env.text("HUB_OIDC_CLIENT_SECRET")
HUB_OIDC_NAME = env.text("HUB_OIDC_NAME", "Single sign-on")
if HUB_OIDC_URL and not (HUB_OIDC_CLIENT_ID and HUB_OIDC_CLIENT_SECRET):
    raise ImproperlyConfigured("HUB_OIDC_URL needs HUB_OIDC_CLIENT_ID and HUB_OIDC_CLIENT_SECRET.")
#: Whether any of them is on.
HUB_ACCOUNTS = HUB_TOTP != "off" or bool(HUB_OIDC_URL)
#: Where a page's form may lead beside the hub itself.
HUB_OIDC_ORIGIN = "://".join(urlsplit(HUB_OIDC_URL)[:2]) if HUB_OIDC_URL else ""

ACCOUNT_APPS = [
    "allauth",
    "allauth.account",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "allauth.mfa",
]
ACCOUNT_MIDDLEWARE = [
    "allauth.account.middleware.AccountMiddleware",
    "megahub.tenancy.signing_in.SecondFactorMiddleware",
]
ACCOUNT_ADAPTER = "megahub.tenancy.signing_in.Accounts"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_EMAIL_NOTIFICATIONS = False
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_SESSION_REMEMBER = False
#: Tries are counted by megahub/tenancy/throttles.py, in the database and for all processes together.
ACCOUNT_RATE_LIMITS = False
MFA_ADAPTER = "megahub.tenancy.signing_in.SecondFactors"
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"] if HUB_TOTP != "off" else []
MFA_FORMS = {
    "authenticate": "megahub.tenancy.signing_in.CodeForm",
    "reauthenticate": "megahub.tenancy.signing_in.CodeAgainForm",
}
MFA_TOTP_ISSUER = "MEGAHUB"
MFA_ALLOW_UNVERIFIED_EMAIL = True
SOCIALACCOUNT_ADAPTER = "megahub.tenancy.signing_in.Identities"
SOCIALACCOUNT_STORE_TOKENS = False
SOCIALACCOUNT_PROVIDERS: dict[str, Any] = {}
if HUB_OIDC_URL:
    SOCIALACCOUNT_PROVIDERS["openid_connect"] = {
        "OAUTH_PKCE_ENABLED": True,
        "APPS": [
            {
                "provider_id": "sso",
                "name": HUB_OIDC_NAME,
                "client_id": HUB_OIDC_CLIENT_ID,
                "secret": HUB_OIDC_CLIENT_SECRET,
                "settings": {"server_url": HUB_OIDC_URL, "fetch_userinfo": False},
            }
        ],
    }
