"""Whose word is taken for where a request comes from."""

import ipaddress
from functools import lru_cache
from typing import Final, TypeAlias

from paidonce.web.request import Request

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

SCHEMES: Final = ("http", "https")
HOPS_MAX: Final = 20  # Proxies that a request passes; a header that names thousands would cost milliseconds.
HOST_LENGTH_MAX: Final = 64  # The longest address has 45 characters, and a zone behind it.


class Proxies:
    """The proxies whose X-Forwarded-For and X-Forwarded-Proto are believed: anybody else can write anything there."""

    def __init__(self, networks: str) -> None:
        self._networks: Final[list[Network]] = [ipaddress.ip_network(one.strip()) for one in networks.split(",")]
        self.trust = lru_cache(maxsize=4096)(self._trust)

    def _trust(self, host: str) -> bool:
        """Tell whether a host is one of them."""
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        return any((mapped or address) in network for network in self._networks)

    def tell_client(self, request: Request) -> None:
        """Set the client and the scheme of a request that one of them hands on, as far as it tells.

        Each proxy appends whom it saw: the last that is none of ours is the client, and what stands before it may
        be its invention.
        """
        scheme = (request.header("x-forwarded-proto") or "").rpartition(",")[2].strip()
        if scheme in SCHEMES:
            request.scheme = scheme
        forwarded = (request.header("x-forwarded-for") or "").rsplit(",", HOPS_MAX)[-HOPS_MAX:]
        hosts = [_host_of(said.strip()) for said in forwarded]
        client = next((host for host in reversed(hosts) if not self.trust(host)), hosts[0])
        if client:
            request.client = client


def _host_of(said: str) -> str:
    """Take the port from an address, where there is one: ``192.0.2.1:80``, ``[2001:db8::1]:80``."""
    said = said[: HOST_LENGTH_MAX + 8]
    if said.startswith("["):
        return said[1:].partition("]")[0]
    host, colon, port = said.rpartition(":")
    return host if colon and ":" not in host and port.isdecimal() else said
