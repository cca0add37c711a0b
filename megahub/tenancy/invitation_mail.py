"""The mail of an invitation: to whom it is for, with the link that holds its token.

Written in the transaction of the invitation and sent by beat like every mail; until then the token is
sealed with the company's key. Mails are ``megahub.delivery``'s, above this room: their table is asked for
by name.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.apps import apps
from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext

from megahub.kernel import clock
from megahub.kernel.text import SECRET_MARK, subject_line
from megahub.tenancy.models import Invitation, User

MAIL = "delivery.Mail"
#: Behind the #: no server and no log hears of it.
PATH = "/console/batches/#invitation="


def write(row: Invitation, token: str) -> None:
    """Write the mail in Django's open transaction."""
    with translation.override(_language(row)):
        subject, text = _letter(row)
    about, plain = _about(row.pk), subject_line(subject)
    mail = apps.get_model(MAIL)(
        company_id=row.company_id, about=about, to=row.email, subject=plain, text=text
    )
    mail.keep_secret(token)
    mail.save(force_insert=True)


def withdraw(row: Invitation) -> None:
    """A mail that was not sent yet is not sent any more: its link leads nowhere."""
    waiting = _mails(row.company_id).filter(about=_about(row.pk), state="pending")
    waiting.update(state="failed", error="Withdrawn", next_at=None, sealed=None)


def with_states(company_id: int, rows: Iterable[Invitation]) -> list[Invitation]:
    """The rows, each with what became of its mail (``email_status``): None where there was none."""
    found = list(rows)
    about = [_about(row.pk) for row in found]
    states = dict(_mails(company_id).filter(about__in=about).values_list("about", "state"))
    for row in found:
        row.email_status = states.get(_about(row.pk))  # type: ignore[attr-defined]
    return found


def _mails(company_id: int) -> Any:
    model: Any = apps.get_model(MAIL)
    return model.objects.of(company_id)


def _about(pk: int) -> str:
    return f"invitation:{pk}"


def _language(row: Invitation) -> str:
    """The receiver's own, if they have an account here, else their host's, else the company's."""
    theirs = User.objects.filter(email__iexact=row.email, is_active=True).exclude(language="")
    own = theirs.order_by("id").values_list("language", flat=True).first()
    return own or row.created_by.language or row.company.language


def _letter(row: Invitation) -> tuple[str, str]:
    who, company = row.created_by.get_full_name() or row.created_by.username, row.company.name
    invites = gettext("{name} invites you to {company} on MEGAHUB. Your role there: {role}.")
    lines = [
        invites.format(name=who, company=company, role=row.get_role_display()),
        "",
        gettext("Accept with an account that you have, or with a new one:"),
        f"{settings.HUB_PUBLIC_URL}{PATH}{SECRET_MARK}",
        "",
        gettext("The link is good for one person, until {moment}.").format(
            moment=clock.iso(row.expires_at)
        ),
        gettext("If you know nothing of it, do nothing."),
        "",
    ]
    return gettext("Invitation to {company} on MEGAHUB").format(company=company), "\n".join(lines)
