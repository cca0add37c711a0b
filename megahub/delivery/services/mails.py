"""E-mails: written with the change that they tell of, sent by beat, tried again, never silently lost."""

from __future__ import annotations

import logging
import smtplib
from datetime import datetime, timedelta

from django.conf import settings
from django.core.mail import EmailMessage
from django.db.models import F

from megahub.delivery.domain import retrying
from megahub.delivery.models import Mail
from megahub.kernel import clock, vault
from megahub.kernel.text import subject_line

log = logging.getLogger(__name__)

SENT_AT_ONCE = 100
LEASE = timedelta(seconds=60)
MAILS_KEPT = timedelta(days=30)
#: What a mail server answers when it will never take a mail; other refusals are for now.
FOR_GOOD = range(500, 600)


def write(company_id: int, about: str, to: list[str], subject: str, text: str) -> None:
    """Write a mail to each in Django's open transaction; ``about`` names the change, told once to each."""
    plain = subject_line(subject)
    rows = [Mail(company_id=company_id, about=about, to=each, subject=plain, text=text) for each in to]
    Mail.objects.unscoped().bulk_create(rows, ignore_conflicts=True)


def send_due() -> int:
    """Send what is due; how many were sent."""
    now = clock.now()
    due = Mail.objects.unscoped().filter(state="pending", next_at__lte=now).order_by("next_at", "id")
    return sum(_send(mail) for mail in list(due[:SENT_AT_ONCE]) if _take(mail, now))


def forget_old() -> None:
    """Delete what was written some time ago."""
    Mail.objects.unscoped().filter(created_at__lt=clock.now() - MAILS_KEPT).delete()


def _take(mail: Mail, now: datetime) -> bool:
    """Compare and swap: one sender per attempt."""
    own = Mail.objects.unscoped().filter(pk=mail.pk, state="pending", attempt=mail.attempt)
    moved = own.filter(next_at__lte=now).update(attempt=F("attempt") + 1, next_at=now + LEASE)
    mail.attempt += 1
    return bool(moved == 1)


def _send(mail: Mail) -> bool:
    try:
        text = mail.whole_text()
    except vault.Sealed:
        _remember(mail, "Sealed", is_final=True)
        return False
    try:
        EmailMessage(mail.subject, text, settings.DEFAULT_FROM_EMAIL, [mail.to]).send()
    except (smtplib.SMTPException, OSError) as error:
        _remember(mail, _told(error), is_final=_code(error) in FOR_GOOD)
        return False
    _remember(mail, "", is_final=True)
    return True


def _remember(mail: Mail, error: str, *, is_final: bool) -> None:
    """Write how an attempt went, unless it was overtaken."""
    now = clock.now()
    later = None if is_final else retrying.next_at(mail.attempt, now)
    state = "sent" if not error else "pending" if later is not None else "failed"
    entry = {"attempt": mail.attempt, "at": clock.iso(now), "error": error}
    own = Mail.objects.unscoped().filter(pk=mail.pk, state="pending", attempt=mail.attempt)
    own.update(
        state=state,
        next_at=later,
        error=error,
        sent_at=now if state == "sent" else None,
        **({} if state == "pending" else {"sealed": None}),
        history=[*mail.history, entry],
    )
    if error:
        log.warning("mail %s could not be sent (%s): %s", mail.pk, state, error)


def _code(error: Exception) -> int | None:
    """The mail server's answer, when it gave one."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return next((code for code, _ in error.recipients.values()), None)
    return error.smtp_code if isinstance(error, smtplib.SMTPResponseException) else None


def _told(error: Exception) -> str:
    code = _code(error)
    return f"{type(error).__name__}{f' {code}' if code else ''}"
