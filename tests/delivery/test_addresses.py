"""Attacks on the one way out: inner addresses in every disguise, names that lead inside, rebinding."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Any

import pytest

from megahub.delivery.adapters import sending
from megahub.delivery.domain import addresses
from tests.delivery.receiver import Receiver

INNER = """
    127.0.0.1 127.8.9.10 0.0.0.0 10.0.0.1 10.255.255.255 172.16.0.1 172.31.255.255 192.168.0.1
    169.254.169.254
    169.254.170.2 100.64.0.1 100.100.100.200 168.63.129.16 192.0.0.192 192.0.2.1 192.88.99.1 198.18.0.1
    198.51.100.7 203.0.113.7 224.0.0.1 239.255.255.250 240.0.0.1 255.255.255.255
    :: ::1 fe80::1 fe80::1%eth0 fec0::1 fc00::1 fd00:ec2::254 fdff::1 ff02::1 2001:db8::1 100::1 3fff::1
    5f00::1
    ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:100.64.0.1 ::ffff:8.8.8.8 ::7f00:1
    ::a9fe:a9fe 64:ff9b::a9fe:a9fe 64:ff9b::7f00:1 64:ff9b::808:808 64:ff9b:1::1 2002:7f00:1::1
    2002:a9fe:a9fe::1 2002:808:808::1 2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:20::1
    localhost 127.1 0x7f000001 2130706433 0177.0.0.1 nonsense
""".split()
OUTER = "8.8.8.8 1.1.1.1 93.184.216.34 2606:4700:4700::1111 2a00:1450:4007:80d::200e".split()
#: What stays refused where private addresses are allowed.
NEVER = """
    0.0.0.0 169.254.169.254 169.254.170.2 168.63.129.16 100.100.100.200 224.0.0.1 255.255.255.255
    :: fe80::1 ff02::1
    fd00:ec2::254 ::ffff:169.254.169.254 64:ff9b::a9fe:a9fe 2002:a9fe:a9fe::1
""".split()


@pytest.mark.parametrize("address", INNER)
def test_inner_addresses_are_refused(address: str) -> None:
    assert not addresses.is_allowed(address)


@pytest.mark.parametrize("address", OUTER)
def test_outer_ones_are_not(address: str) -> None:
    assert addresses.is_allowed(address)


@pytest.mark.parametrize("address", NEVER)
def test_some_are_refused_on_a_developers_machine_too(address: str) -> None:
    assert not addresses.is_allowed(address, allow_private=True)
    assert addresses.is_allowed("127.0.0.1", allow_private=True)
    assert addresses.is_allowed("::1", allow_private=True)


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/",
        "ftp://hooks.example.com/",
        "file:///etc/passwd",
        "gopher://hooks.example.com/",
        "hooks.example.com",
        "//hooks.example.com/",
        "",
        "https://",
        "https:///path",
        "https://hooks.example.com:22/",
        "https://hooks.example.com:8443/",
        "https://hooks.example.com:99999/",
        "https://user@hooks.example.com/",
        "https://hooks.example.com@127.0.0.1/",
        "https://hooks.example.com\\@127.0.0.1/",
        "https://hooks.example.com%5c@127.0.0.1/",
        "https://127.0.0.1%2f.example.com/",
        "https://hooks.example.com/#fragment",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:169.254.169.254]/",
        "https://169.254.169.254/latest/meta-data/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://0177.0.0.1/",
        "https://8.8.8.8/",
        "https://localhost/",
        "https://intranet/",
        "https://a.localhost/",
        "https://metadata.google.internal/",
        "https://printer.local/",
        "https://１２７.０.０.１/",
        "https://ⓛocalhost.example/",
        "https://hooks.example.com/ a",
        "https://hooks.example.com/\r\nHost: inner",
        "https://hooks..example.com/",
        "https://-hooks.example.com/",
        "https://[::1",
        "https://hooks.example.com/" + "a" * 2000,
    ],
)
def test_urls_that_can_never_be_sent_to(url: str) -> None:
    with pytest.raises(addresses.Refused):
        addresses.check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.com/",
        "https://hooks.example.com:443/a?b=c",
        "https://xn--bcher-kva.example/x",
    ],
)
def test_urls_that_can(url: str) -> None:
    addresses.check_url(url)


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """``getaddrinfo`` says each answer in turn (the last one for ever); the names that were asked for."""
    asked: list[str] = []

    def getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> list[Any]:
        name = host.decode() if isinstance(host, bytes) else host
        asked.append(name)
        found = answers[min(len(asked), len(answers)) - 1]
        kinds = {True: socket.AF_INET6, False: socket.AF_INET}
        return [(kinds[":" in one], socket.SOCK_STREAM, 6, "", (one, port)) for one in found]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


def connecting(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Where connections were tried; none gets through."""
    tried: list[str] = []

    async def connect(self: Any, sock: Any, address: Any) -> None:
        tried.append(address[0])
        raise ConnectionRefusedError("a test")

    monkeypatch.setattr(asyncio.SelectorEventLoop, "sock_connect", connect)
    return tried


def send(url: str = "https://hooks.example.com/") -> sending.Answer:
    return asyncio.run(sending.send(url, {}, b"{}"))


@pytest.mark.parametrize(
    "found",
    [
        ["127.0.0.1"],
        ["169.254.169.254"],
        ["::ffff:10.0.0.1"],
        ["8.8.8.8", "10.0.0.1"],
        ["64:ff9b::7f00:1"],
        [],
    ],
)
def test_names_that_lead_inside(monkeypatch: pytest.MonkeyPatch, found: list[str]) -> None:
    resolving(monkeypatch, found)
    tried = connecting(monkeypatch)

    answer = send()

    assert (answer.status, tried) == (None, [])
    assert answer.error == "hooks.example.com does not lead to a public address"


def test_the_connection_goes_where_the_check_looked(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: a second look-up would lead inside, so there must be none."""
    asked = resolving(monkeypatch, ["93.184.216.34"], ["127.0.0.1"])
    tried = connecting(monkeypatch)

    answer = send()

    assert (asked, tried) == (["hooks.example.com"], ["93.184.216.34"])
    assert answer == sending.Answer(None, answer.ms, "no connection")


def test_every_send_looks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = resolving(monkeypatch, ["93.184.216.34"], ["127.0.0.1"])
    tried = connecting(monkeypatch)

    answers = [send(), send()]

    assert asked == ["hooks.example.com"] * 2
    assert tried == ["93.184.216.34"]
    assert answers[1].error == "hooks.example.com does not lead to a public address"


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "https://[::1]/", "http://169.254.169.254/"])
def test_what_was_registered_under_other_settings(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    tried = connecting(monkeypatch)

    answer = send(url)

    assert (answer.status, tried) == (None, [])


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/", "http://[::ffff:169.254.169.254]/", "http://0.0.0.0/"]
)
def test_metadata_on_a_developers_machine(monkeypatch: pytest.MonkeyPatch, private: None, url: str) -> None:
    tried = connecting(monkeypatch)

    answer = send(url)

    assert (answer.status, tried) == (None, [])


def test_no_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch, receiver: Receiver) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")

    assert send(receiver.url).status == 204


def test_a_huge_answer_is_not_read_to_its_end(receiver: Receiver) -> None:
    sent: list[int] = []

    def flood(handler: Any) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            for _ in range(4096):
                handler.wfile.write(b"x" * 65536)
                sent.append(65536)
        except OSError:
            return

    receiver.answer = lambda _: flood

    answer = send(receiver.url)

    assert answer.status == 200
    time.sleep(0.1)
    assert sum(sent) < 64 * 1024 * 1024


def test_a_compressed_answer_is_not_unpacked(receiver: Receiver) -> None:
    receiver.answer = lambda _: (200, {"Content-Encoding": "gzip"}, b"not gzip at all")

    assert send(receiver.url).is_success
    assert "accept-encoding" not in receiver.heard[0].headers


def test_a_receiver_that_dawdles(monkeypatch: pytest.MonkeyPatch, receiver: Receiver) -> None:
    def dawdle(handler: Any) -> None:
        try:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
            for _ in range(30):
                handler.wfile.write(b"X-Slow: 1\r\n")
                handler.wfile.flush()
                time.sleep(0.05)
        except OSError:
            return

    receiver.answer = lambda _: dawdle
    monkeypatch.setattr(sending, "TIMEOUT_SECONDS", 0.3)

    answer = send(receiver.url)

    assert (answer.status, answer.is_success) == (None, False)
    assert answer.error.startswith("no answer within")
    assert 250 < answer.ms < 2000
