"""Addresses of clients: which addresses count as one client."""

import ipaddress
from functools import lru_cache


@lru_cache(maxsize=4096)
def client_address(host: str) -> str:
    """Return the address that identifies a client: of IPv6 its network of 64 bits, which one customer has whole."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host[:64]
    if isinstance(address, ipaddress.IPv4Address):
        return host
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))
