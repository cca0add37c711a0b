"""From a request to an answer: the base paths, the keys, the routes, the order of the steps."""

import asyncio
import logging
import re
import time

from aiohttp import web

from sandbox import calls, errors, faults, uploads, wire
from sandbox.batches import Batches
from sandbox.calls import Calls
from sandbox.control import PREFIX, Control
from sandbox.errors import ApiError
from sandbox.faults import FaultTable
from sandbox.files import FileStore
from sandbox.log import CallLog
from sandbox.prompts import Body
from sandbox.resources import Resources
from sandbox.wire import Call

OPENAI_BASE = "/v1/"
INFOMANIAK_BASE = re.compile(r"/1/ai/[^/]+/openai/(?:v1/)?|/2/ai/[^/]+/openai/v1/")
#: Infomaniak lists its models beside its products.
INFOMANIAK_LISTING = "/1/ai/models"
REFUSED_KEYS = ("sk-refused", "sk-sandbox-refused")

logger = logging.getLogger("sandbox")


class Sandbox:
    """One provider: its surfaces, its files and batches, its faults, its log."""

    def __init__(self, store: FileStore, log: CallLog, seconds_per_batch_line: float = 0.0) -> None:
        self._log = log
        self._calls = Calls()
        self._batches = Batches(store, self._calls, seconds_per_batch_line)
        self._resources = Resources(store, self._batches, self._calls)
        self._faults = FaultTable()
        self._control = Control(self._faults, log)

    async def stop(self) -> None:
        await self._batches.stop()
        self._log.shut()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        if path.startswith(PREFIX):
            return await self._control.handle(request)
        client_request_id = request.headers.get("x-client-request-id")
        entry = self._log.open(request.method, path, client_request_id)
        call = Call(request, entry, time.perf_counter())
        try:
            return await self._answer(call, path)
        except ApiError as error:
            return wire.send_error(call, error)
        except ConnectionError:
            # The client is gone: nobody reads this, but aiohttp logs an error if it gets nothing.
            return web.Response()
        except Exception:
            logger.exception("%s %s failed", request.method, path)
            return wire.send_error(call, errors.server_error())
        finally:
            self._log.close(entry)

    async def _answer(self, call: Call, path: str) -> web.StreamResponse:
        _locate(call, path)
        call.key = _bearer(call.request)
        if call.resource in self._calls and (call.request.method, call.resource) != ("GET", calls.CHAT):
            return await self._json_call(call)
        handler, object_id = self._resources.find(call)
        await self._meet_fault(call, {})
        return await handler(call, object_id)

    async def _json_call(self, call: Call) -> web.StreamResponse:
        """One of the surfaces that take JSON and answer JSON, or a stream of it."""
        if call.request.method != "POST":
            raise errors.wrong_method(call.request.method, call.request.path)
        body = await uploads.read_json(call.request)
        model = body.get("model")
        call.entry.model = model if isinstance(model, str) else None
        await self._meet_fault(call, body)
        now = int(time.time())
        if call.resource == calls.CHAT and body.get("stream") is True:
            return await wire.send_events(call, self._calls.chunks(body, call.fault, now))
        return await wire.send_json(call, self._calls.answer(call.resource, body, call.fault, now))

    async def _meet_fault(self, call: Call, body: Body) -> None:
        """Find the call's fault, wait as long as it says, raise the error it asks for."""
        header = call.request.headers.get(faults.HEADER)
        call.fault = self._faults.pick(header, body, call.request.path)
        if call.fault is faults.NO_FAULT:
            return
        call.entry.fault = call.fault.spec
        if call.fault.delay_s:
            await asyncio.sleep(call.fault.delay_s)
        faults.refuse(call.fault, body, call.key)


def _locate(call: Call, path: str) -> None:
    """Find the base path that was called and what lies below it."""
    if path.startswith(OPENAI_BASE):
        call.resource = path[len(OPENAI_BASE) :]
        return
    if path == INFOMANIAK_LISTING:
        call.infomaniak, call.resource = True, calls.INFOMANIAK_MODELS
        return
    base = INFOMANIAK_BASE.match(path)
    if base is None:
        raise errors.unknown_url(call.request.method, path)
    call.infomaniak = True
    call.resource = path[base.end() :]


def _bearer(request: web.BaseRequest) -> str:
    """The key of a call; raises ApiError 401 when there is none or it is one of the refused."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise errors.missing_key()
    if key.startswith(REFUSED_KEYS):
        raise errors.invalid_key(key)
    return key
