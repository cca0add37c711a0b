"""The sandbox's own surface, under /sandbox/: health, faults, log."""

from typing import Any

import orjson
from aiohttp import web

from sandbox import errors, uploads, wire
from sandbox.errors import ApiError
from sandbox.faults import FaultTable
from sandbox.log import CallLog

PREFIX = "/sandbox/"


class Control:
    def __init__(self, faults: FaultTable, log: CallLog) -> None:
        self._faults = faults
        self._log = log

    async def handle(self, request: web.BaseRequest) -> web.Response:
        try:
            return await self._answer(request)
        except ApiError as error:
            return _json(errors.openai_body(error), error.status)

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        match request.method, request.path.removeprefix(PREFIX):
            case "GET", "health":
                return _json({"status": "ok"})
            case "GET", "faults":
                return _json(self._faults.render())
            case "POST", "faults":
                return _json(self._faults.add(await uploads.read_json(request)))
            case "DELETE", "faults":
                return _json({"deleted": self._faults.clear()})
            case "GET", "log":
                return self._calls(request)
            case "DELETE", "log":
                return _json({"deleted": self._log.clear()})
            case _, ("health" | "faults" | "log"):
                raise errors.wrong_method(request.method, request.path)
        raise errors.unknown_url(request.method, request.path)

    def _calls(self, request: web.BaseRequest) -> web.Response:
        after = request.query.get("after", "0")
        if not after.isdecimal():
            raise errors.invalid_type("after", "an integer", after)
        return _response(self._log.after(int(after)), "application/x-ndjson")


def _json(payload: dict[str, Any], status: int = 200) -> web.Response:
    return _response(orjson.dumps(payload), wire.JSON, status)


def _response(body: bytes, content_type: str, status: int = 200) -> web.Response:
    headers = {"content-type": content_type, "x-megahub-sandbox": "1"}
    return web.Response(status=status, body=body, headers=headers)
