"""Which URLs a webhook may go to: none that leads back into our own network, however it is spelled.

A URL is parsed by one strict rule, so that two parsers cannot differ. The address that is
checked is the one connected to.
"""

import re
import unicodedata
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

import msgspec

URL_LENGTH_MAX: Final = 2048

# Scheme, host, port, path and query: whatever else a URL can hold (user, fragment, spaces, backslashes) fits nowhere.
_URL: Final = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9.-]{1,253})(?::(?P<port>[1-9][0-9]{0,4}))?"
    r"(?P<target>[/?][!-\"$-\[\]-~]*)?"
)
_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_IPV4: Final = re.compile(r"(?:0|[1-9][0-9]{0,2})(?:\.(?:0|[1-9][0-9]{0,2})){3}")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")  # Where a name ends in one, some reader takes it for an address.

# Names that mean this machine or this network wherever they are asked for.
_PRIVATE_NAMES: Final = frozenset({"localhost", "local", "localdomain", "internal", "intranet", "lan", "home", "corp"})
_PRIVATE_SUFFIXES: Final = (".home.arpa",)

_PRIVATE_V4: Final = tuple(map(IPv4Network, ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
_REFUSED_V4: Final = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # This network; 0.0.0.0 reaches the machine itself.
            "100.64.0.0/10",  # Carriers' own, and 100.100.100.200, a cloud's metadata.
            "168.63.129.16/32",  # A cloud's host agent, at a public address.
            "169.254.0.0/16",  # Link-local, and 169.254.169.254, most clouds' metadata.
            "192.0.0.0/24",  # Protocol assignments, and 192.0.0.192, a cloud's metadata.
            "192.0.2.0/24",  # Documentation.
            "192.31.196.0/24",  # AS112.
            "192.52.193.0/24",  # Multicast tunnels.
            "192.88.99.0/24",  # 6to4 relays.
            "192.175.48.0/24",  # AS112.
            "198.18.0.0/15",  # Benchmarking.
            "198.51.100.0/24",  # Documentation.
            "203.0.113.0/24",  # Documentation.
            "224.0.0.0/4",  # Multicast.
            "240.0.0.0/4",  # Reserved, and the broadcast address.
        ),
    )
)
_GLOBAL_V6: Final = IPv6Network("2000::/3")  # What is not in here is not the internet's.
_PRIVATE_V6: Final = tuple(map(IPv6Network, ("::1/128", "fc00::/7")))
_REFUSED_V6: Final = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # Teredo, benchmarking, ORCHID and other assignments that are no hosts'.
            "2001:db8::/32",  # Documentation.
            "2002::/16",  # 6to4, whose addresses hold any IPv4 address.
            "2620:4f:8000::/48",  # AS112.
            "3fff::/20",  # Documentation.
            "fd00:ec2::/32",  # A cloud's metadata, in what else is a private network.
            "fd20:ce::/32",  # Another's.
        ),
    )
)
_NAT64: Final = IPv6Network("64:ff9b::/96")  # Its last 32 bits are the IPv4 address that is reached.
_ISATAP: Final = frozenset({0x0000_5EFE, 0x0200_5EFE})  # Bits 64 to 95 of an address whose last 32 are IPv4.


class Target(msgspec.Struct, frozen=True):
    """Where a URL leads: ``host`` is a name in lower case, or an address without brackets."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def address(self) -> IPv4Address | IPv6Address | None:
        """The address where the host is one; else it must be asked for."""
        return _read_address(self.host)

    @property
    def authority(self) -> str:
        """The host, and the port where it is not the scheme's own, as the Host header has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"


IPV6: Final = 6
PORTS: Final = {"https": 443, "http": 80}


class UrlRefused(ValueError):
    """A URL that no webhook goes to; the text says why."""


def read_url(url: str, *, allow_private: bool) -> Target:
    """Parse a URL; raises UrlRefused. The addresses of its name must be checked by ``check_address``."""
    found = _URL.fullmatch(url) if len(url) <= URL_LENGTH_MAX else None
    if found is None:
        message = (
            "A webhook URL is https://host[:port][/path], in ASCII, at most 2048 characters, without user and fragment."
        )
        raise UrlRefused(message)
    scheme = found["scheme"]
    if scheme != "https" and not allow_private:
        message = (
            "A webhook URL must begin with https://. PAIDONCE_WEBHOOK_ALLOW_PRIVATE=true allows http for development."
        )
        raise UrlRefused(message)
    port = int(found["port"] or PORTS[scheme])
    if port >= 2**16:
        message = "The port is invalid."
        raise UrlRefused(message)
    path = found["target"] or "/"
    target = Target(scheme, found["host"].lower().strip("[]"), port, path if path[0] == "/" else f"/{path}")
    address = target.address
    if address is None or (found["host"][0] == "[") != (address.version == IPV6):
        _check_name(target.host, bracketed=found["host"][0] == "[", allow_private=allow_private)
    else:
        check_address(address, allow_private=allow_private)
    return target


def _read_address(host: str) -> IPv4Address | IPv6Address | None:
    """Read an address in the one spelling that every reader takes for the same."""
    try:
        if ":" in host:
            return IPv6Address(host)
        return IPv4Address(host) if _IPV4.fullmatch(host) else None
    except ValueError:
        return None


def _check_name(host: str, *, bracketed: bool, allow_private: bool) -> None:
    labels = host.split(".")
    if bracketed or not all(_LABEL.fullmatch(one) for one in labels) or _NUMBER.fullmatch(labels[-1]):
        message = "The host is neither a valid name nor an address in its usual form."
        raise UrlRefused(message)
    if any(_is_ascii_in_disguise(one) for one in labels if one.startswith("xn--")):
        message = "The host is an alternative spelling of another host."
        raise UrlRefused(message)
    private = len(labels) == 1 or labels[-1] in _PRIVATE_NAMES or host.endswith(_PRIVATE_SUFFIXES)
    if private and not allow_private:
        message = "The host is in a private network."
        raise UrlRefused(message)


def _is_ascii_in_disguise(label: str) -> bool:
    """Tell whether a punycode label stands for letters or digits that plain ASCII has."""
    try:
        shown = label.removeprefix("xn--").encode().decode("punycode")
    except ValueError:
        return True
    return unicodedata.normalize("NFKC", shown).isascii()


def check_address(address: IPv4Address | IPv6Address, *, allow_private: bool) -> None:
    """Raise UrlRefused for an address that is not on the internet. ``allow_private`` lets loopback and private through.

    Metadata services, link-local, multicast and what only stands for another address are refused even then.
    """
    if not _is_reachable(address, allow_private=allow_private):
        message = "The address is not on the public internet."
        raise UrlRefused(message)


def _is_reachable(address: IPv4Address | IPv6Address, *, allow_private: bool) -> bool:
    if isinstance(address, IPv4Address):
        if any(address in network for network in _PRIVATE_V4):
            return allow_private
        return not any(address in network for network in _REFUSED_V4)
    if address.scope_id is not None or any(address in network for network in _REFUSED_V6):
        return False
    if any(address in network for network in _PRIVATE_V6):
        return allow_private
    inner = IPv4Address(int(address) & 0xFFFF_FFFF)
    if address in _NAT64:
        return _is_reachable(inner, allow_private=False)
    if (int(address) >> 32) & 0xFFFF_FFFF in _ISATAP:
        return _is_reachable(inner, allow_private=False)
    return address in _GLOBAL_V6
