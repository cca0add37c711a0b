"""A multipart upload, taken apart as it arrives: texts in memory (they are short), the file on disk."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from django.http import HttpRequest
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from ai_batch.domain.lines import MAX_FILE_BYTES
from ai_batch.domain.refusals import FileTooLarge
from ai_batch.services.files import BLOCK_BYTES, Incoming
from megahub.kernel import fastlane
from megahub.kernel.errors import BadRequest, UnsupportedMediaType

MAX_TEXT_BYTES = 4096
MAX_FIELDS = 20
#: What the form may add to the file.
FORM_BYTES = 64 * 1024


@dataclass
class Upload:
    """A form's texts, and its one file (None when it had none)."""

    texts: dict[str, str] = field(default_factory=dict)
    filename: str = ""
    file: Incoming | None = None

    @property
    def sent(self) -> bytes:
        """What stands for the form where it is compared with another one."""
        digest = self.file.digest if self.file is not None else ""
        return repr((sorted(self.texts.items()), self.filename, digest)).encode()

    async def drop(self) -> None:
        """Leave nothing of it."""
        if self.file is not None:
            await asyncio.to_thread(self.file.drop)


async def read(request: HttpRequest, most_bytes: int = MAX_FILE_BYTES) -> Upload:
    """Take a form in. Raises FileTooLarge, StorageFull, BadRequest; then nothing is left of it."""
    kind, options = parse_options_header(request.META.get("CONTENT_TYPE", ""))
    if kind != "multipart/form-data" or not options.get("boundary"):
        raise UnsupportedMediaType("Send the file as multipart/form-data.")
    declared = request.META.get("CONTENT_LENGTH") or ""
    if declared.isdecimal() and int(declared) > most_bytes + FORM_BYTES:
        raise FileTooLarge(param="file")
    reader = _Reader(most_bytes)
    try:
        with PushMultipartParser(options["boundary"], max_segment_count=MAX_FIELDS) as parser:
            async for piece in fastlane.pieces(request):
                for event in parser.parse(piece):
                    await reader.take(event)
                if parser.closed:
                    break
        await reader.flush()
    except MultipartError as error:
        await reader.upload.drop()
        raise BadRequest("The form could not be read: {reason}.", words={"reason": str(error)}) from error
    except fastlane.Disconnected as error:
        await reader.upload.drop()
        raise BadRequest("The upload broke off.") from error
    except BaseException:
        await reader.upload.drop()
        raise
    return reader.upload


class _Reader:
    def __init__(self, most_bytes: int) -> None:
        self.upload = Upload()
        self._most_bytes = most_bytes
        self._segment: MultipartSegment | None = None
        self._text = bytearray()
        self._block = bytearray()
        self._size = 0

    async def take(self, event: Any) -> None:
        """A segment's beginning, a piece of it, or its end (None)."""
        if isinstance(event, MultipartSegment):
            await self._begin(event)
        elif event is None:
            self._end()
        elif self._is_file:
            await self._more(event)
        else:
            self._text += event
            if len(self._text) > MAX_TEXT_BYTES:
                raise BadRequest("A field of the form is too long.", param=self._name)

    @property
    def _is_file(self) -> bool:
        return self._segment is not None and self._segment.filename is not None

    @property
    def _name(self) -> str:
        return self._segment.name if self._segment is not None else ""

    async def _begin(self, segment: MultipartSegment) -> None:
        self._segment = segment
        self._text.clear()
        if not self._is_file:
            return
        if self.upload.file is not None or segment.name != "file":
            raise BadRequest("Send one file, in the field 'file'.", param=segment.name)
        self.upload.filename = segment.filename or ""
        self.upload.file = await asyncio.to_thread(Incoming)

    async def _more(self, piece: bytes) -> None:
        self._block += piece
        self._size += len(piece)
        if self._size > self._most_bytes:
            raise FileTooLarge(param="file")
        if len(self._block) >= BLOCK_BYTES:
            await self.flush()

    async def flush(self) -> None:
        """Write what has gathered."""
        if self._block and self.upload.file is not None:
            block, self._block = bytes(self._block), bytearray()
            await asyncio.to_thread(self.upload.file.write, block)

    def _end(self) -> None:
        if not self._is_file:
            self.upload.texts[self._name] = self._text.decode(errors="replace")
