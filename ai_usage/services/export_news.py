"""What is told of an export that is ready or has failed: an event, and an e-mail with a signed link
in the reader's language."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core import signing
from django.utils import translation
from django.utils.translation import gettext

from ai_usage.models import Export
from megahub.delivery.domain import events
from megahub.delivery.services import mails, outbox
from megahub.kernel import clock, money
from megahub.tenancy import members

SALT = "ai_usage.export"


def link_of(export: Export) -> str:
    """An address that downloads it for whoever has it, until the export expires."""
    token = signing.dumps(str(export.uid), salt=SALT)
    return f"{settings.HUB_PUBLIC_URL}/ai/usage/export-links/{token}/"


def uid_of(token: str) -> str | None:
    """The export that a link is for; None for one that the hub has not signed, or that is too old."""
    try:
        return str(signing.loads(token, salt=SALT, max_age=settings.HUB_EXPORT_KEEP_DAYS * 86_400))
    except signing.BadSignature:
        return None


def tell(export: Export) -> None:
    """In the transaction that ends it."""
    is_ready = export.state == "ready"
    data = _data(export)
    outbox.tell(export.company_id, events.EXPORT_COMPLETED if is_ready else events.EXPORT_FAILED, data)
    for language, addresses in members.by_language(export.company, export.recipients).items():
        with translation.override(language):
            subject, text = _ready(export) if is_ready else _failed(export)
        mails.write(export.company_id, about_of(export), addresses, f"[MEGAHUB] {subject}", text)


def about_of(export: Export) -> str:
    """What its mails are about."""
    return f"export:{export.pk}"


def _data(export: Export) -> dict[str, Any]:
    return {
        "export_id": export.pk,
        "schedule_id": export.schedule_id,
        "state": export.state,
        "format": export.format,
        "period_start": None if export.period_start is None else str(export.period_start),
        "period_end": None if export.period_end is None else str(export.period_end),
        "rows": export.row_count,
        "total_cost_usd": money.show(export.total_nano),
        "sha256": export.sha256,
        "url": link_of(export) if export.state == "ready" else None,
        "expires_at": clock.iso(export.expires_at),
        "error": export.error,
        "sandbox": export.sandbox,
    }


def _ready(export: Export) -> tuple[str, str]:
    """The subject and the text of a mail, in the language in force."""
    lines = [
        gettext("Rows: {rows}").format(rows=export.row_count),
        gettext("Total cost: {cost} USD").format(cost=money.show(export.total_nano)),
        f"SHA-256: {export.sha256}",
        "",
        gettext("Download (until {moment}):").format(moment=clock.iso(export.expires_at)),
        link_of(export),
    ]
    if export.period_start:
        period = gettext("Period: {first} to {last}")
        lines.insert(0, period.format(first=export.period_start, last=export.period_end))
    if export.sandbox:
        lines.append(gettext("These are figures of the sandbox; nothing was paid."))
    return gettext("Your export of usage is ready"), "\n".join([*lines, ""])


def _failed(export: Export) -> tuple[str, str]:
    said = gettext("The export {number} ({format}) could not be made: {error}.")
    lines = [
        said.format(number=export.pk, format=export.format, error=export.error),
        gettext("Ask for it again."),
        "",
    ]
    return gettext("Your export of usage has failed"), "\n".join(lines)
