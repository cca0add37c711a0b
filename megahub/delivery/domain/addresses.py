"""Where the hub may send what a company asked for: never to an address inside.

``ipaddress.is_global`` alone lets through NAT64, 6to4, Teredo, IPv4-mapped and IPv4-compatible
addresses that carry an inner one, multicast, and clouds' wire servers (reference/reliability.md,
section 5, item 8): what is embedded is unwrapped, the rest is on a list.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from megahub.kernel.text import Text

Address = IPv4Address | IPv6Address

#: Refused although ``is_global`` says yes (or said so in some version of Python).
REFUSED: tuple[IPv4Network | IPv6Network, ...] = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8 100.64.0.0/10 168.63.129.16/32 169.254.0.0/16 192.0.0.0/24 192.88.99.0/24 198.18.0.0/15"
        " 224.0.0.0/4 240.0.0.0/4 ::/96 64:ff9b:1::/48 100::/64 2001::/23 2001:db8::/32 3fff::/20 5f00::/16"
        " fc00::/7 fe80::/10 fec0::/10 ff00::/8"
    ).split()
)
NAT64 = IPv6Network("64:ff9b::/96")
#: What stays refused even where private addresses are allowed: link-local (with clouds' metadata),
#: multicast, reserved.
NEVER: tuple[IPv4Network | IPv6Network, ...] = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8 168.63.129.16/32 169.254.0.0/16 224.0.0.0/4 240.0.0.0/4 ::/128 fe80::/10 ff00::/8"
    ).split()
)
#: Metadata services that live in private space.
METADATA = frozenset({IPv6Address("fd00:ec2::254"), IPv4Address("100.100.100.200")})
HOST = re.compile(
    r"(?=.{1,253}\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]", re.I
)
#: Names that resolve inside wherever they are asked.
INNER_NAMES = (".localhost", ".local", ".internal", ".localdomain", ".home.arpa", ".lan")
PLAIN_URL = re.compile(r"[!-~]+")
MAX_URL = 2000


class Refused(ValueError):
    """An address that the hub does not send to; ``args[0]`` (a Text) says why."""


def check_url(url: str, *, allow_private: bool = False) -> None:
    """Raise Refused for a URL that can never be sent to, before anything is resolved.

    Https to port 443 of a fully qualified name; with ``allow_private`` also http, other ports,
    plain names and addresses.
    """
    if len(url) > MAX_URL or not PLAIN_URL.fullmatch(url) or "\\" in url:
        raise Refused(Text("This is no URL."))
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise Refused(Text("This is no URL.")) from None
    schemes = ("https", "http") if allow_private else ("https",)
    if parts.scheme not in schemes:
        raise Refused(Text("An https:// address."))
    if "@" in parts.netloc or "%" in parts.netloc or parts.fragment or not host:
        raise Refused(Text("An address with a host, without user, password or fragment."))
    if allow_private:
        return
    if port not in (None, 443):
        raise Refused(Text("Only port 443."))
    if not HOST.fullmatch(host) or host.lower().endswith(INNER_NAMES):
        raise Refused(Text("A fully qualified host name."))


def is_allowed(text: str, *, allow_private: bool = False) -> bool:
    """Whether the hub may connect to the IP address ``text`` (as a resolver wrote it)."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return all(_one(each, allow_private) for each in (address, *embedded(address)))


def embedded(address: Address) -> list[IPv4Address]:
    """The IPv4 addresses that an IPv6 address carries: mapped, compatible, NAT64, 6to4, Teredo."""
    if isinstance(address, IPv4Address):
        return []
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    low = IPv4Address(int(address) & 0xFFFFFFFF)
    if address in NAT64 or (int(address) >> 32 == 0 and int(address) > 1):
        found.append(low)
    return [inner for inner in found if inner is not None]


def _one(address: Address, allow_private: bool) -> bool:
    if address in METADATA or _within(address, NEVER):
        return False
    if allow_private:
        return True
    if isinstance(address, IPv6Address) and (address.ipv4_mapped is not None or address in NAT64):
        return False
    if isinstance(address, IPv6Address) and (address.sixtofour is not None or address.teredo is not None):
        return False
    return address.is_global and not _within(address, REFUSED)


def _within(address: Address, networks: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    return any(address.version == network.version and address in network for network in networks)
