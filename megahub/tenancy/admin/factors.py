"""Second factors and identities (django-allauth's): who has them, and taking them away.

Somebody who has lost their phone and their recovery codes is let in again by deleting their second factor.
"""

from __future__ import annotations

from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from megahub.kernel import trail
from megahub.kernel.admin import HubAdmin

#: What nothing is kept in here: addresses are people's own, the provider of identities is a setting.
UNUSED: tuple[type[Model], ...] = (EmailAddress, SocialApp, SocialToken, SocialAccount, Authenticator)
admin.site.unregister(UNUSED)


class Taken(HubAdmin):
    """Rows that people make by signing in; here they are only taken away."""

    change_form_after_template = None
    list_select_related = ("user",)
    facts: tuple[str, ...] = ()

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def told(self, obj: Any) -> trail.Facts | None:
        """Of another's model, which lists nothing as ``audited``; never what it keeps sealed."""
        return {"user": str(obj.user), **{name: str(getattr(obj, name)) for name in self.facts}}


@admin.register(Authenticator)
class AuthenticatorAdmin(Taken):
    names = (_("second factor"), _("second factors"))
    facts = ("type",)
    list_display = ("user", "type", "created_at", "last_used_at")
    list_filter = ("type",)
    search_fields = ("user__username",)
    fields = list_display


@admin.register(SocialAccount)
class IdentityAdmin(Taken):
    names = (_("identity"), _("identities"))
    facts = ("provider", "uid")
    list_display = ("user", "provider", "uid", "date_joined", "last_login")
    search_fields = ("user__username", "uid")
    fields = list_display
