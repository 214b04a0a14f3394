"""Which addresses a call of ours may reach: public ones, and hosts that the operator trusts.

The name is resolved once, every address of it is held against the rule, and the call goes to an
address that was checked, so that a name which answers differently the second time gains nothing.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Collection

Resolver = Callable[[str, int], list[str]]


class InnerAddress(OSError):
    """The host is, or resolves to, an address inside the network."""


def is_public(address: str) -> bool:
    """False for loopback, private, link-local, shared, mapped and reserved addresses."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        elif found in NAT64:
            return False
    return found.is_global and not found.is_multicast


NAT64 = ipaddress.ip_network("64:ff9b::/96")


def resolve(host: str, port: int) -> list[str]:
    """Every address of a host. OSError where it has none."""
    rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(row[4][0]) for row in rows))


class PublicOnly:
    """`find(host, port)` gives an address to connect to, or raises InnerAddress."""

    def __init__(self, trusted_hosts: Collection[str] = (), *, resolver: Resolver = resolve):
        self._trusted = {host.rstrip(".").lower() for host in trusted_hosts}
        self._resolve = resolver

    def find(self, host: str, port: int) -> str:
        name = host.strip("[]").rstrip(".").lower()
        found = self._resolve(name, port)
        if name not in self._trusted and not all(is_public(address) for address in found):
            raise InnerAddress(f"{name} is inside the network")
        return found[0]
