"""Why somebody changes something in the admin: forms, actions, dialogs and passwords ask for it."""

from __future__ import annotations

from django import forms
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.forms import (
    ActionForm,
    AdminOwnPasswordChangeForm,
    AdminPasswordChangeForm,
    BaseDialogForm,
)
from unfold.widgets import UnfoldAdminTextInputWidget

from megahub.kernel import trail

REASON = "audit_reason"
ASKED = _("Say why: the reason is kept in the audit trail.")
KEPT = _("Kept in the audit trail, with who you are and what was changed.")


def reason_of(request: HttpRequest) -> str:
    """What they said."""
    return request.POST.get(REASON, "").strip()[: trail.REASON_LENGTH]


def _field() -> forms.CharField:
    return forms.CharField(
        label=_("Why?"),
        max_length=trail.REASON_LENGTH,
        widget=UnfoldAdminTextInputWidget,
        help_text=KEPT,
        error_messages={"required": ASKED},
    )


class ReasonedActions(ActionForm):
    """What stands above a list: the action, and the reason once one is chosen."""

    audit_reason = forms.CharField(
        label="",
        required=False,
        max_length=trail.REASON_LENGTH,
        widget=forms.TextInput(
            {
                "class": "bg-white/20 font-medium grow px-2 py-1 rounded-default lg:w-72",
                "placeholder": _("Why?"),
                "aria-label": _("Why?"),
                "x-show": "action",
            }
        ),
    )


class ReasonedDialog(BaseDialogForm):
    """A dialog that is not confirmed without a reason."""

    audit_reason = _field()


class ReasonedPassword(AdminPasswordChangeForm):
    """Somebody else's new password, or none."""

    audit_reason = _field()


class ReasonedOwnPassword(AdminOwnPasswordChangeForm):
    """One's own new password."""

    audit_reason = _field()
