"""Trusted proxies: which peers may say from which address, scheme and host a request comes."""

import ipaddress
from functools import lru_cache
from typing import Final, TypeAlias

from starlette.types import ASGIApp, Receive, Scope, Send

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

SCHEMES: Final = ("http", "https")
HOPS_MAX: Final = 20  # Proxies that a request passes; a header that names thousands would cost milliseconds.
HOST_LENGTH_MAX: Final = 64  # The longest address has 45 characters, and a zone behind it.


class TrustedProxies:
    """Believes X-Forwarded-For and X-Forwarded-Proto of the proxies in ``networks``: anybody else can write anything
    there.
    """

    def __init__(self, app: ASGIApp, networks: str) -> None:
        self._app = app
        self._networks: Final[list[Network]] = [ipaddress.ip_network(one.strip()) for one in networks.split(",")]
        self._trusts = lru_cache(maxsize=4096)(self._is_in_networks)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, for the client that a trusted proxy names."""
        client = scope.get("client")
        if client and self._trusts(client[0]):
            self._believe(scope)
        await self._app(scope, receive, send)

    def _is_in_networks(self, host: str) -> bool:
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        return any((mapped or address) in network for network in self._networks)

    def _believe(self, scope: Scope) -> None:
        """Set the client and the scheme of a request that one of them hands on, as far as it tells.

        Each proxy appends whom it saw: the last that is none of ours is the client, and what stands before it may
        be its invention.
        """
        scheme = _header(scope, b"x-forwarded-proto").rpartition(",")[2].strip()
        if scheme in SCHEMES:
            scope["scheme"] = scheme
        forwarded = _header(scope, b"x-forwarded-for").rsplit(",", HOPS_MAX)[-HOPS_MAX:]
        hosts = [_host_of(one.strip()) for one in forwarded]
        client = next((host for host in reversed(hosts) if not self._trusts(host)), hosts[0])
        if client:
            scope["client"] = (client, 0)


def _header(scope: Scope, wanted: bytes) -> str:
    """Read a header; one that came several times is a list all the same (RFC 9110, 5.3)."""
    return b", ".join(value for name, value in scope["headers"] if name == wanted).decode("latin-1")


def _host_of(forwarded: str) -> str:
    """Take the port from an address, where there is one: ``192.0.2.1:80``, ``[2001:db8::1]:80``."""
    forwarded = forwarded[: HOST_LENGTH_MAX + 8]
    if forwarded.startswith("["):
        return forwarded[1:].partition("]")[0]
    host, colon, port = forwarded.rpartition(":")
    return host if colon and ":" not in host and port.isdecimal() else forwarded
