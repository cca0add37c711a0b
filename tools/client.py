"""A small HTTP client for JSON; it knows no proxies."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Any

TIMEOUT_SECONDS = 60.0


class NoAnswer(Exception):
    """The server did not answer, or not in HTTP."""


@dataclass(frozen=True)
class Client:
    """A server, and whom we are for it."""

    address: str
    token: str = ""

    def get(self, path: str, *, timeout: float = TIMEOUT_SECONDS) -> tuple[int, Any]:
        """(status, decoded body). Raises NoAnswer."""
        return self._call("GET", path, None, timeout)

    def post(self, path: str, body: object) -> tuple[int, Any]:
        """(status, decoded body). Raises NoAnswer."""
        return self._call("POST", path, json.dumps(body), TIMEOUT_SECONDS)

    def _call(self, method: str, path: str, body: str | None, timeout: float) -> tuple[int, Any]:
        headers = {"Content-Type": "application/json"} if body else {}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        with closing(HTTPConnection(self.address, timeout=timeout)) as connection:
            try:
                connection.request(method, path, body, headers)
                response = connection.getresponse()
                raw = response.read()
            except (OSError, HTTPException) as error:
                raise NoAnswer(f"{method} {path}: {error or type(error).__name__}") from error
        try:
            return response.status, json.loads(raw)
        except ValueError:
            return response.status, raw.decode(errors="replace")[:200]
