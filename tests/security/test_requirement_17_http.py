"""Requirement 17: one request is one request, for its true host, its dispatched path, its true address.

Regression: CVE-2026-49468 and 2026-48710 (a Host header moved the path that was authorised), CVE-2026-3902
(underscores in header names), CVE-2024-1135 and 2024-6827 (requests in requests).
"""

from __future__ import annotations

import socket
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.conftest import Api
from tests.world import Cast

CHUNKED = ["Transfer-Encoding: chunked"]
HIDDEN = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
#: What two servers would end at two places.
SMUGGLED = {
    "a length and pieces": (["Content-Length: 6", *CHUNKED], "0\r\n\r\nG"),
    "pieces and a length": ([*CHUNKED, f"Content-Length: {5 + len(HIDDEN)}"], "0\r\n\r\n" + HIDDEN),
    "two lengths": (["Content-Length: 0", f"Content-Length: {len(HIDDEN)}"], HIDDEN),
    "a length of two numbers": (["Content-Length: 0, 5"], "hello"),
    "a length with a sign": (["Content-Length: +5"], "hello"),
    "a negative length": (["Content-Length: -5"], "hello"),
    "another coding": (["Transfer-Encoding: xchunked"], "0\r\n\r\n" + HIDDEN),
    "a name with a space": (["Content-Length : 5"], "hello"),
    "a folded line": (["X-A: 1", " Transfer-Encoding: chunked", "Content-Length: 5"], "hello"),
    "a piece of no number": (CHUNKED, "zz\r\nhello\r\n0\r\n\r\n"),
}


#: A server that waits for the rest of a body says nothing more.
PATIENCE = 2


def sent(live_url: str, raw: str) -> bytes:
    """All that is answered to these bytes."""
    address = urlsplit(live_url)
    said = b""
    with socket.create_connection((address.hostname, address.port), timeout=PATIENCE) as client:
        client.sendall(raw.encode("latin1"))
        try:
            while piece := client.recv(65536):
                said += piece
        except (ConnectionResetError, TimeoutError):
            pass
    return said


@pytest.mark.parametrize("name", SMUGGLED)
def test_two_in_one_are_never_two(live_url: str, name: str) -> None:
    headers, body = SMUGGLED[name]
    head = ["POST /auth/token/ HTTP/1.1", "Host: localhost", "Content-Type: application/json", *headers]

    said = sent(live_url, "\r\n".join([*head, "", body]))

    statuses = [int(part[:3]) for part in said.split(b"HTTP/1.1 ")[1:]]
    assert 200 not in statuses
    # At most the one that came: what was hidden in it is no request (its path would be answered 404).
    assert len(statuses) <= 1 or statuses[-1] == 400
    assert 404 not in statuses


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "localhost@evil.example", "localhost/../healthz"]
)
@pytest.mark.parametrize("path", ["/auth/me/", "/admin/login/", "/docs/", "/readyz"])
def test_another_host_is_refused(live_url: str, path: str, host: str) -> None:
    said = sent(live_url, f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")

    assert said.startswith(b"HTTP/1.1 400 ")
    assert b"evil" not in said


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-Host": "evil.example"},
        {"X-Original-URL": "/healthz"},
        {"X-Rewrite-URL": "/healthz"},
        {"X-HTTP-Method-Override": "GET"},
        {"X-Forwarded-Prefix": "/healthz"},
        {"Forwarded": "host=healthz;path=/healthz"},
    ],
)
def test_no_header_moves_a_path(api: Api, headers: dict[str, str]) -> None:
    assert api.request("GET", "/auth/me/", headers=headers).status_code == 401
    assert api.request("DELETE", "/auth/keys/1/", headers=headers).status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        "/healthz/../auth/me/",
        "//auth/me/",
        "/auth/./me/",
        "/auth%2Fme/",
        "/healthz%2f..%2fauth/me/",
        "/auth/me/%00",
    ],
)
def test_a_path_in_disguise_opens_nothing(live_url: str, cast: Cast, path: str) -> None:
    """What is authorised is what is dispatched: another spelling is another path, or asks for the token."""
    said = sent(live_url, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")

    assert int(said.split(b" ")[1]) in (400, 401, 404)


@pytest.mark.parametrize("name", ["Authorization", "X_Brand_Id", "X_Forwarded_For"])
def test_an_underscore_is_no_dash(api: Api, cast: Cast, name: str) -> None:
    plain = api.as_(cast.alice).get("/auth/me/")

    told = api.as_(cast.alice).get(
        "/auth/me/", headers={name.replace("-", "_") + "_": "1", "X_Brand_ID": "1"}
    )

    assert told.json() == plain.json()


def test_an_address_is_not_the_clients_to_say(api: Api, settings: Any) -> None:
    """The proxy's own hop counts; what a client wrote before it gives a guesser no new tries."""
    settings.HUB_SIGN_IN_LIMIT, settings.HUB_SIGN_IN_ADDRESS_LIMIT = 3, 100_000
    wrong = {"username": "nobody-of-17", "password": "wrong"}
    forged = [
        {"X-Forwarded-For": f"203.0.113.{n}, 198.51.100.17", "X-Real-IP": f"203.0.113.{n}"}
        for n in range(5)
    ]

    statuses = [
        api.request("POST", "/auth/token/", json=wrong, headers=each).status_code for each in forged
    ]

    assert statuses == [401, 401, 401, 429, 429]
