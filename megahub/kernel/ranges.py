"""A file over HTTP that a client can resume: ranges, ETag, If-Range, HEAD (RFC 9110, section 14)."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import BinaryIO

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import parse_etags

from megahub.kernel import loop

BLOCK = 256 * 1024
_ONE_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


@dataclass(frozen=True, slots=True)
class Download:
    """A file that does not change: how to open it, and what is told of it."""

    open: Callable[[], BinaryIO]
    size: int
    etag: str
    content_type: str
    name: str


def answer(request: HttpRequest, download: Download) -> HttpResponseBase:
    """The file, or the part of it that is asked for; 304 for who has it, 416 for a part it has not."""
    etag = f'"{download.etag}"'
    if {etag, "*"} & set(parse_etags(request.headers.get("If-None-Match", ""))):
        return _with_headers(HttpResponse(status=304), download)
    asked = request.headers.get("Range", "")
    if request.headers.get("If-Range", etag) != etag:
        asked = ""
    span = _span(asked, download.size)
    if span is None:
        refusal = HttpResponse(status=416)
        refusal["Content-Range"] = f"bytes */{download.size}"
        return _with_headers(refusal, download)
    first, last = span
    is_part = (first, last) != (0, download.size - 1)
    response = _body(request, download, first, last)
    if is_part:
        response.status_code = 206
        response["Content-Range"] = f"bytes {first}-{last}/{download.size}"
    response["Content-Length"] = str(last - first + 1)
    return _with_headers(response, download)


def _span(asked: str, size: int) -> tuple[int, int] | None:
    """The first and last byte: of everything for no range, several or a malformed one; None beyond it."""
    match = _ONE_RANGE.fullmatch(asked.replace(" ", ""))
    if match is None or match.group(0) == "bytes=-":
        return 0, size - 1
    first, last = match.groups()
    if not first:
        return (max(0, size - int(last)), size - 1) if int(last) and size else None
    if int(first) >= size:
        return None
    end = min(int(last), size - 1) if last else size - 1
    return (int(first), end) if int(first) <= end else (0, size - 1)


def _body(request: HttpRequest, download: Download, first: int, last: int) -> HttpResponseBase:
    if request.method == "HEAD":
        return HttpResponse(content_type=download.content_type)
    file = download.open()  # now, so that one that is gone is an error and no broken answer
    return StreamingHttpResponse(_blocks(file, first, last), content_type=download.content_type)


async def _blocks(file: BinaryIO, first: int, last: int) -> AsyncGenerator[bytes]:
    """A thread reads; waiting for the client holds none."""
    with file:
        await loop.in_thread(file.seek, first)
        left = last - first + 1
        while left > 0 and (block := await loop.in_thread(file.read, min(BLOCK, left))):
            left -= len(block)
            yield block


def _with_headers(response: HttpResponseBase, download: Download) -> HttpResponseBase:
    response["ETag"] = f'"{download.etag}"'
    response["Accept-Ranges"] = "bytes"
    response["Cache-Control"] = "private, no-store"
    response["X-Content-Type-Options"] = "nosniff"
    if response.status_code < 300:
        response["Content-Disposition"] = f'attachment; filename="{download.name}"'
    return response
