"""A link to a batch's results that a browser may follow by itself: signed for one file, good for a minute.

The page's tokens are headers, which a browser's own downloads do not send; what is fetched by the script
would have to fit its memory.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from django.core import signing
from django.urls import reverse

from ai_batch.models import Batch
from megahub.kernel import clock

SALT = "ai_batch.results"
GOOD_SECONDS = 60


class Wanted(NamedTuple):
    """The file that a link is for."""

    company_id: int
    batch_pk: int
    kind: str
    form: str


def told(batch: Batch, kind: str, form: str) -> dict[str, Any]:
    """The link, and until when it is good."""
    token = signing.dumps(Wanted(batch.company_id, batch.pk, kind, form), salt=SALT)
    until = int(clock.now().timestamp()) + GOOD_SECONDS
    return {"success": True, "url": reverse("console-results", args=[token]), "expires_at": until}


def opened(token: str) -> Wanted | None:
    """What a link is for; None of one that the hub has not signed, or that is too old."""
    try:
        return Wanted(*signing.loads(token, salt=SALT, max_age=GOOD_SECONDS))
    except signing.BadSignature:
        return None
