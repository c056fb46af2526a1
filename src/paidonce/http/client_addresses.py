"""Whose an address is."""

import ipaddress
from functools import lru_cache


@lru_cache(maxsize=4096)
def client_address(host: str) -> str:
    """Name who is at the other end; IPv6 by its network of 64 bits, of which one customer has a whole one."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host[:64]
    if isinstance(address, ipaddress.IPv4Address):
        return host
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))
