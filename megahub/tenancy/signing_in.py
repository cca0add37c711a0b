"""Signing in to the admin by django-allauth, where HUB_TOTP or HUB_OIDC_URL is set.

Nobody signs up here and no password is reset: people are made in the admin. Whom a provider of identities
vouches for is let in when exactly one active member of the staff has the e-mail address that it has
verified; from then on they are known by the provider's own name for them.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any
from urllib.parse import urlencode

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.flows.login import record_authentication
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.base.forms import AuthenticateForm, ReauthenticateForm
from allauth.mfa.totp.views import ActivateTOTPView, DeactivateTOTPView
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from cryptography.fernet import Fernet
from django import forms
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _

from megahub.kernel import trail
from megahub.kernel.errors import RateLimited
from megahub.tenancy import second_factors, services, throttles
from megahub.tenancy.models import User
from megahub.tenancy.staff import BeforeViews

AUTHENTICATIONS = "account_authentication_methods"


class Accounts(DefaultAccountAdapter):
    """Names and passwords: those that there are."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def reauthenticate(self, user: User, password: str) -> bool:
        """Counted as well: a session that was left open is no place to guess from."""
        try:
            return second_factors.knows_password(user, password)
        except RateLimited:
            return False


class Identities(DefaultSocialAccountAdapter):
    """People whom a provider of identities vouches for."""

    def is_open_for_signup(self, request: HttpRequest, sociallogin: Any) -> bool:
        return False

    def pre_social_login(self, request: HttpRequest, sociallogin: Any) -> None:
        """Find whose identity it is. Raises ImmediateHttpResponse (403) when it is no one's."""
        if sociallogin.is_existing:
            if not (sociallogin.user.is_active and sociallogin.user.is_staff):
                raise refused(request)
            return
        user = whose(sociallogin.account.extra_data.get("id_token", {}))
        if user is None:
            raise refused(request)
        sociallogin.connect(request, user)


def whose(claims: dict[str, Any]) -> User | None:
    """The one active member of the staff with the address that the provider has verified."""
    email = str(claims.get("email") or "")
    if claims.get("email_verified") is not True or not email:
        return None
    found = list(User.objects.filter(email__iexact=email, is_active=True, is_staff=True)[:2])
    return found[0] if len(found) == 1 else None


def refused(request: HttpRequest) -> ImmediateHttpResponse:
    """The answer to somebody who is vouched for, and unknown here."""
    said = {"said": _("You have no account here. Ask an administrator of the hub for one.")}
    return ImmediateHttpResponse(render(request, "socialaccount/refused.html", said, status=403))


class SecondFactors(DefaultMFAAdapter):
    """Secrets of TOTP, sealed under a key that follows from HUB_SECRET_KEY, as sessions do."""

    def encrypt(self, text: str) -> str:
        return _fernet().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        return _fernet().decrypt(encrypted_text.encode()).decode()


def _fernet() -> Fernet:
    digest = hashlib.sha256(f"megahub.totp|{settings.SECRET_KEY}".encode()).digest()
    return Fernet(base64.urlsafe_b64encode(digest))


class Counted(forms.Form):
    """Codes have six digits: they are guessed as slowly as passwords, by whomever and wherever from."""

    user: User
    cleaned_data: dict[str, Any]

    def clean_code(self) -> str:
        name = second_factors.counted_as(self.user)
        try:
            throttles.guess(name)
        except RateLimited as error:
            raise forms.ValidationError(_("Too many tries. Wait a few minutes.")) from error
        code: str = super().clean_code()  # type: ignore[misc]
        if not second_factors.is_fresh(self.user, code):
            raise forms.ValidationError(_("This code was used already."))
        throttles.guessed(name)
        return code


class CodeForm(Counted, AuthenticateForm):
    """The second factor of signing in."""


class CodeAgainForm(Counted, ReauthenticateForm):
    """The same before a second factor is changed."""


class SecondFactorMiddleware(BeforeViews):
    """With HUB_TOTP=required staff sees nothing of the admin before this session has shown a second factor.

    Who has none is led to where one is set up. Whoever came by a provider of identities has shown there
    what that provider asks for.
    """

    def process_view(self, request: HttpRequest, *_: Any) -> HttpResponse | None:
        user: Any = getattr(request, "user", None)
        if settings.HUB_TOTP != "required" or not request.path.startswith(reverse("admin:index")):
            return None
        if user is None or not user.is_authenticated or not user.is_staff:
            return None
        shown = {record.get("method") for record in request.session.get(AUTHENTICATIONS) or ()}
        if "socialaccount" in shown:
            return None
        if not second_factors.is_on(user.pk):
            return HttpResponseRedirect(reverse("mfa_activate_totp"))
        if "mfa" in shown:
            return None
        asked = urlencode({"next": request.get_full_path()})
        return HttpResponseRedirect(f"{reverse('mfa_reauthenticate')}?{asked}")


class SetUp(ActivateTOTPView):
    """Setting one up shows it; tokens that a password alone had been enough for end."""

    def form_valid(self, form: Any) -> HttpResponse:
        user = User.objects.get(pk=self.request.user.pk)
        with trail.change(self.request, "second_factor.add", user):
            answer: HttpResponse = super().form_valid(form)
            services.end_sign_ins(user.pk)
        record_authentication(self.request, user, "mfa", type="totp")
        return answer


class PutDown(DeactivateTOTPView):
    def form_valid(self, form: Any) -> HttpResponse:
        user = User.objects.get(pk=self.request.user.pk)
        with trail.change(self.request, "second_factor.remove", user):
            answer: HttpResponse = super().form_valid(form)
        return answer


def closed(request: HttpRequest, **_: Any) -> HttpResponse:
    """What django-allauth's pages name, and nobody may do here."""
    raise PermissionDenied
