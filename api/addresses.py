"""From which address a call comes, behind our own proxies and without; networks that the settings list.

X-Forwarded-For is what callers write, but for what our own proxies append: read from its end, past the proxies that are
listed, the first other address is the caller's. A proxy that is not listed is a caller like any other.
"""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from deploy.settings import PREFIX, SettingsError

Networks = Sequence[IPv4Network | IPv6Network]


def networks(setting: str, told: str) -> Networks:
    """The networks of a setting. SettingsError names what is none."""
    found: list[IPv4Network | IPv6Network] = []
    for one in told.split(","):
        if one.strip():
            try:
                found.append(ip_network(one.strip()))
            except ValueError as error:
                raise SettingsError(
                    f"{PREFIX}{setting.upper()}: {one.strip()!r} is no address or network: {error}. "
                    "Remedy: 10.0.0.7 or 10.0.0.0/8, with commas."
                ) from error
    return tuple(found)


def within(host: str, listed: Networks) -> bool:
    """Whether an address is in one of the networks; what is no address is in none."""
    try:
        address = ip_address(host)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in one for one in listed)


def caller(peer: str, forwarded: str, proxies: Networks) -> str:
    """The caller's address: the peer's, or, where that is a proxy of ours, the nearest that is none."""
    hops = [one.strip() for one in forwarded.split(",") if one.strip()]
    while hops and within(peer, proxies):
        told = _bare(hops.pop())
        if told is None:  # whoever wrote this is hiding: count the proxy
            return peer
        peer = told
    return peer


def counted_as(host: str) -> str:
    """What limits count: an address, of IPv6 the network of one subscriber, who has 2**64 of them."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(IPv6Network((int(address), 64), strict=False))
    return str(address)


def _bare(told: str) -> str | None:
    """'[2001:db8::1]:443', '192.0.2.1:443': the address alone."""
    if told.startswith("["):
        told = told[1:].partition("]")[0]
    elif told.count(":") == 1:
        told = told.partition(":")[0]
    try:
        return str(ip_address(told))
    except ValueError:
        return None
