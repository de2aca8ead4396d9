"""Which addresses may be asked: http and https, of the source's own hosts, none of them private.

A name is looked up once, and the address that was checked is the one that is connected to: a name that leads elsewhere
a moment later (DNS rebinding) leads nowhere. Every request comes by here: pages, links, redirects, robots.txt.

Errors
    Refused    it may not be asked; the message says what it is and what allows it
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable
from typing import TypeAlias
from urllib.parse import SplitResult, urlsplit

from scrapy.exceptions import CannotResolveHostError, IgnoreRequest

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Lookup: TypeAlias = Callable[[str, int], Awaitable[list[str]]]

HERE = ("localhost", "local", "localdomain", "internal", "home.arpa")
"""Names, and names below them, that never are public hosts: RFC 6761, 6762, 8375 and ICANN's .internal of 2024."""
_TRANSLATED = (
    (ipaddress.IPv6Network("64:ff9b::/96"), 0),  # NAT64, RFC 6052
    (ipaddress.IPv6Network("::/96"), 0),  # IPv4-compatible, RFC 4291
    (ipaddress.IPv6Network("2002::/16"), 80),  # 6to4, RFC 3056
)
"""IPv6 networks that carry an IPv4 address, and how many bits stand behind it."""


class Refused(IgnoreRequest):
    """A request that may not be sent."""


class Guard:
    """Tells what may be asked. `allowed`: hosts, or host:port, that may be though they are private."""

    def __init__(self, allowed: frozenset[str], lookup: Lookup | None = None) -> None:
        self._allowed = frozenset(name.lower() for name in allowed)
        self._lookup = lookup or look_up

    def refusal(self, url: str) -> str:
        """Why an address may not be asked, as far as it can be told by reading it; empty when it may."""
        try:
            parts = urlsplit(url)
            port = port_of(parts)
        except ValueError as error:
            return f"is no address: {error}"
        if parts.scheme not in {"http", "https"}:
            return f"is {parts.scheme or 'no'}:, and only http: and https: are asked"
        host = plain(parts.hostname or "")
        if not host:
            return "names no host"
        if self.allows(host, port):
            return ""
        if any(host == name or host.endswith(f".{name}") for name in HERE):
            return f"is on {host}, a private name: {remedy(host)}"
        try:
            why = private(ipaddress.ip_address(host))
        except ValueError:
            return ""  # a name: what it leads to is seen when it is looked up
        return f"is on {host}, {why}: {remedy(host)}" if why else ""

    def allows(self, host: str, port: int) -> bool:
        """Whether an operator allowed this host whatever it leads to."""
        name = f"[{host}]" if ":" in host else host
        return not self._allowed.isdisjoint({host, name, f"{name}:{port}"})

    async def addresses(self, host: str, port: int) -> list[str]:
        """Where a host is, looked up once: what may be connected to. Refused, CannotResolveHostError."""
        host = plain(host)
        found = await self._lookup(host, port)
        if not found:
            raise CannotResolveHostError(f"there is no host {host}")
        if self.allows(host, port):
            return found
        told = {one: private(ipaddress.ip_address(one)) for one in found}
        public = [one for one, why in told.items() if not why]
        if not public:
            one, why = next(iter(told.items()))
            raise Refused(f"{host} is {one}, {why}: {remedy(host)}")
        return public


def remedy(host: str) -> str:
    """What allows a host."""
    return f"it is not asked. Remedy: GIGZ_PRIVATE_HOSTS={host}, if it is meant."


def plain(host: str) -> str:
    """A host as it is compared: no case, no dot at the end, no brackets."""
    return host.lower().rstrip(".").strip("[]")


def port_of(parts: SplitResult) -> int:
    """The port, told or not. ValueError."""
    return parts.port or (443 if parts.scheme == "https" else 80)


def private(address: Address) -> str:
    """Why an address is no public host's; empty when it is one's."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped
        for network, behind in _TRANSLATED:
            if inner is None and address in network and int(address) > 1:
                inner = ipaddress.IPv4Address((int(address) >> behind) & 0xFFFF_FFFF)
        if inner is not None:
            why = private(inner)
            return why and f"which carries {inner}, {why}"
        if address.is_site_local:
            return "a private address"
    for kind, told in (
        ("is_unspecified", "this machine"),
        ("is_loopback", "this machine"),
        ("is_link_local", "a link-local address"),
        ("is_multicast", "a multicast address"),
        ("is_private", "a private address"),
        ("is_reserved", "a reserved address"),
    ):
        if getattr(address, kind):
            return told
    return "" if address.is_global else "no public address"


async def look_up(host: str, port: int) -> list[str]:
    """Addresses of a host, IPv4 and IPv6, by the system. Spellings such as 0x7f.1 and 2130706433 are read, too.

    CannotResolveHostError.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise CannotResolveHostError(f"the host {host} cannot be found: {error}") from error
    return list(dict.fromkeys(str(place[0]) for *_, place in found))
