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

_GLOBAL_6 = ipaddress.IPv6Network("2000::/3")
"""All that IANA ever gave out for public hosts (RFC 4291, IPv6 address space registry)."""
_SPECIAL = tuple(
    (ipaddress.ip_network(network), told)
    for network, told in (
        ("0.0.0.0/8", "this machine"),
        ("10.0.0.0/8", "a private address"),
        ("100.64.0.0/10", "shared address space"),
        ("127.0.0.0/8", "this machine"),
        ("169.254.0.0/16", "a link-local address"),
        ("172.16.0.0/12", "a private address"),
        ("192.0.0.0/24", "an address of protocols"),
        ("192.0.2.0/24", "an address of documentation"),
        ("192.88.99.0/24", "a relay for 6to4"),
        ("192.168.0.0/16", "a private address"),
        ("198.18.0.0/15", "an address of benchmarks"),
        ("198.51.100.0/24", "an address of documentation"),
        ("203.0.113.0/24", "an address of documentation"),
        ("224.0.0.0/4", "a multicast address"),
        ("240.0.0.0/4", "a reserved address"),
        ("::/128", "this machine"),
        ("::1/128", "this machine"),
        ("64:ff9b:1::/48", "a private address"),
        ("100::/64", "an address that discards"),
        ("100:0:0:1::/64", "an address of no host"),
        ("2001::/23", "an address of protocols"),
        ("2001:db8::/32", "an address of documentation"),
        ("3fff::/20", "an address of documentation"),
        ("5f00::/16", "an address of segment routing"),
        ("fc00::/7", "a private address"),
        ("fe80::/10", "a link-local address"),
        ("fec0::/10", "a private address"),
        ("ff00::/8", "a multicast address"),
    )
)
"""IANA's special-purpose registries as of 2025, less what is global in them: Python's `ipaddress` has those of its own
release, and 192.88.99.0/24, which RFC 7526 took back, as a public one."""


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
    for special, told in _SPECIAL:
        if address.version == special.version and address in special:
            return told
    if isinstance(address, ipaddress.IPv6Address) and address not in _GLOBAL_6:
        return "no public address"
    return "" if address.is_global and not address.is_multicast else "no public address"


async def look_up(host: str, port: int) -> list[str]:
    """Addresses of a host, IPv4 and IPv6, by the system. Spellings such as 0x7f.1 and 2130706433 are read, too.

    CannotResolveHostError.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise CannotResolveHostError(f"the host {host} cannot be found: {error}") from error
    return list(dict.fromkeys(str(place[0]) for *_, place in found))
