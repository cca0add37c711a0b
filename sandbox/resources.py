"""The surfaces that keep things: models, files, batches. From a route to its answer."""

import re
import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from sandbox import calls, errors, models, uploads, wire
from sandbox.batches import Batches
from sandbox.files import FileStore
from sandbox.wire import Call

METADATA = re.compile(r"metadata\[(.+)\]")
# A handler gets the call and the id in its path ("" if the path has none).
Handler = Callable[[Call, str], Awaitable[web.StreamResponse]]


class Resources:
    def __init__(self, store: FileStore, batches: Batches, answers: calls.Calls) -> None:
        self._store = store
        self._batches = batches
        self._answers = answers
        self._routes: tuple[tuple[str, re.Pattern[str], Handler], ...] = tuple(
            (method, re.compile(pattern), handler)
            for method, pattern, handler in (
                ("GET", calls.CHAT, self._list_stored),
                ("GET", r"models", self._list_models),
                ("GET", calls.INFOMANIAK_MODELS, self._list_infomaniak),
                ("GET", r"models/(.+)", self._get_model),
                ("POST", r"files", self._upload_file),
                ("GET", r"files", self._list_files),
                ("GET", r"files/([^/]+)", self._get_file),
                ("DELETE", r"files/([^/]+)", self._delete_file),
                ("GET", r"files/([^/]+)/content", self._download_file),
                ("POST", r"batches", self._create_batch),
                ("GET", r"batches", self._list_batches),
                ("GET", r"batches/([^/]+)", self._get_batch),
                ("POST", r"batches/([^/]+)/cancel", self._cancel_batch),
            )
        )

    def find(self, call: Call) -> tuple[Handler, str]:
        """The handler of a call and the id in its path; raises ApiError 404 or 405."""
        method, path = call.request.method, call.request.path
        known = False
        for accepted, pattern, handler in self._routes:
            found = pattern.fullmatch(call.resource)
            if found and accepted == method:
                return handler, found[1] if pattern.groups else ""
            known = known or found is not None
        raise errors.wrong_method(method, path) if known else errors.unknown_url(method, path)

    async def _list_stored(self, call: Call, _: str) -> web.StreamResponse:
        query = call.request.query
        pairs = ((METADATA.fullmatch(name), value) for name, value in query.items())
        wanted = {found[1]: value for found, value in pairs if found}
        limit = query.get("limit", "20")
        return await wire.send_json(
            call, self._answers.stored(wanted, int(limit) if limit.isdecimal() else 20)
        )

    async def _list_models(self, call: Call, _: str) -> web.StreamResponse:
        return await wire.send_json(call, models.listing())

    async def _list_infomaniak(self, call: Call, _: str) -> web.StreamResponse:
        return await wire.send_json(call, models.infomaniak_listing())

    async def _get_model(self, call: Call, model_id: str) -> web.StreamResponse:
        return await wire.send_json(call, models.get(model_id))

    async def _upload_file(self, call: Call, _: str) -> web.StreamResponse:
        stored = await uploads.receive_file(call.request, self._store)
        return await wire.send_json(call, stored.render())

    async def _list_files(self, call: Call, _: str) -> web.StreamResponse:
        return await wire.send_json(call, self._store.listing(call.request.query))

    async def _get_file(self, call: Call, file_id: str) -> web.StreamResponse:
        return await wire.send_json(call, self._store.get(file_id).render())

    async def _delete_file(self, call: Call, file_id: str) -> web.StreamResponse:
        return await wire.send_json(call, self._store.delete(file_id))

    async def _download_file(self, call: Call, file_id: str) -> web.StreamResponse:
        return await wire.send_file(call, self._store.get(file_id))

    async def _create_batch(self, call: Call, _: str) -> web.StreamResponse:
        order = await uploads.read_json(call.request)
        return await wire.send_json(call, self._batches.create(order, int(time.time())))

    async def _list_batches(self, call: Call, _: str) -> web.StreamResponse:
        return await wire.send_json(call, self._batches.listing(call.request.query))

    async def _get_batch(self, call: Call, batch_id: str) -> web.StreamResponse:
        return await wire.send_json(call, self._batches.get(batch_id))

    async def _cancel_batch(self, call: Call, batch_id: str) -> web.StreamResponse:
        return await wire.send_json(call, self._batches.cancel(batch_id))
