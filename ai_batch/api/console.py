"""``/console/batches/``: the page on which people run batches. It is one document; its script asks the API.

Nothing of it is inline, and it may load from here only: its policy says so.
"""

from __future__ import annotations

import orjson
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.views.decorators.http import require_safe

from ai_batch.api import console_texts
from ai_batch.domain.lines import ENDPOINTS
from ai_batch.models import OVER, Batch

POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
)
#: What the page's script would otherwise have to repeat.
LISTS = {
    "statuses": list(Batch.Status.values),
    "over": sorted(OVER),
    "endpoints": list(ENDPOINTS),
}
YEAR_SECONDS = 365 * 24 * 3600


@require_safe
def page(request: HttpRequest) -> HttpResponseBase:
    """The page in the reader's language; ``?language=`` chooses one and is remembered."""
    chosen = request.GET.get("language")
    if chosen in dict(settings.LANGUAGES):
        away = HttpResponseRedirect(request.path)
        away.set_cookie(
            settings.LANGUAGE_COOKIE_NAME,
            chosen,
            max_age=YEAR_SECONDS,
            secure=request.is_secure(),
            samesite="Lax",
        )
        return away
    said = {"texts": console_texts.said(), "lists": LISTS}
    words = {name: orjson.dumps(value).decode() for name, value in said.items()}
    answer: HttpResponse = render(
        request, "ai_batch/console.html", {**words, "languages": settings.LANGUAGES}
    )
    answer["Content-Security-Policy"] = POLICY
    answer["Referrer-Policy"] = "same-origin"
    answer["Cache-Control"] = "private, no-cache"
    return answer
