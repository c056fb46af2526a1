"""A DNS server on loopback: some names have an address, some time out, and all others do not exist."""

import asyncio
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from typing import cast

A, IN = 1, 1
RESPONSE, NO_SUCH_NAME = 0x8180, 0x8183


class DnsServer(asyncio.DatagramProtocol):
    """Answers queries. Names outside ``addresses`` do not exist; those that begin with "hangs" get no response."""

    def __init__(self, addresses: Mapping[str, str]) -> None:
        self._addresses = addresses
        self.asked: list[str] = []
        self.port = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        name, end = _name(data, 12)
        self.asked.append(name)
        if name.startswith("hangs"):
            return
        question = data[12 : end + 4]
        (kind,) = struct.unpack("!H", data[end : end + 2])
        address = self._addresses.get(name)
        records = b""
        if address is not None and kind == A:
            records = struct.pack("!HHHIH", 0xC00C, A, IN, 0, 4) + IPv4Address(address).packed
        flags = RESPONSE if address is not None else NO_SUCH_NAME
        head = struct.pack("!HHHHHH", *struct.unpack("!H", data[:2]), flags, 1, int(bool(records)), 0, 0)
        self._transport.sendto(head + question + records, addr)


def _name(data: bytes, at: int) -> tuple[str, int]:
    """Read a name; returns it and the offset after it."""
    labels = []
    while data[at]:
        labels.append(data[at + 1 : at + 1 + data[at]].decode())
        at += 1 + data[at]
    return ".".join(labels).lower(), at + 1


@asynccontextmanager
async def name_server(addresses: Mapping[str, str]) -> AsyncIterator[DnsServer]:
    """Run a DNS server on a free port."""
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(lambda: DnsServer(addresses), local_addr=("127.0.0.1", 0))
    try:
        yield server
    finally:
        transport.close()
