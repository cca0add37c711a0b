"""Reading what clients send: JSON bodies and multipart uploads, within their limits."""

import time
from typing import Any

import orjson
from aiohttp import BodyPartReader, web

from sandbox import errors, files
from sandbox.files import FileStore, StoredFile
from sandbox.prompts import Body

MAX_BODY_BYTES = 64 * 1024 * 1024
CHUNK_BYTES = 256 * 1024
# A form field other than the file is a word or a number.
MAX_FIELD_BYTES = 64 * 1024


async def read_json(request: web.BaseRequest) -> Body:
    """The object in a request's body; raises ApiError when it is none or too long."""
    await _greet(request, MAX_BODY_BYTES)
    try:
        raw = await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise errors.too_large(MAX_BODY_BYTES) from None
    try:
        body: Any = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise errors.bad_json() from None
    if not isinstance(body, dict):
        raise errors.bad_json()
    return body


async def receive_file(request: web.BaseRequest, store: FileStore) -> StoredFile:
    """Stream the file of a multipart form to disk and keep it if the form is right."""
    if not request.content_type.startswith("multipart/"):
        raise errors.missing("file")
    # The form around the file is short: a body longer than both limits holds too long a file.
    await _greet(request, files.MAX_FILE_BYTES + MAX_BODY_BYTES)
    form: dict[str, str] = {}
    filename: str | None = None
    with store.draft() as draft:
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader):
                continue
            if part.name == "file" and filename is None:
                filename = part.filename or "upload"
                while data := await part.read_chunk(CHUNK_BYTES):
                    draft.write(data)
                    if draft.bytes > files.MAX_FILE_BYTES:
                        raise files.file_too_large()
            elif part.name is not None:
                form[part.name] = (await part.read_chunk(MAX_FIELD_BYTES)).decode("utf-8", "replace")
        if filename is None:
            raise errors.missing("file")
        return files.accept(draft, form, filename, int(time.time()))


async def _greet(request: web.BaseRequest, limit_bytes: int) -> None:
    """Refuse a body that says it is too long, and tell a client that waits to go on."""
    if (request.content_length or 0) > limit_bytes:
        raise errors.too_large(limit_bytes)
    # aiohttp answers this only in its application layer, which is not used here.
    if request.headers.get("expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
