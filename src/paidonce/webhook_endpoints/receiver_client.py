"""Calls a receiver: resolves its name, checks every address, connects to one of those, posts, reads a bounded answer.

Nothing is taken from the environment (no proxy), no redirect is followed, nothing is sent twice, nothing is unpacked,
and no connection is kept. This runs in a process of its own (receiver_process.py), which alone imports it.
"""

import asyncio
import os
import socket
import ssl
from ipaddress import ip_address
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from paidonce.webhook_endpoints.receiver_messages import Answer, ReceiverCallFailed, ReceiverSettings
from paidonce.webhook_endpoints.ssrf import Target, UrlRefused, check_address, read_url

ANSWER_BYTES_MAX: Final = 1024  # Enough to see what a receiver complains of.
READ_BYTES_MAX: Final = 64 * 1024  # In all, TLS, heads and interim answers included: so little is soon parsed.
STEP_BYTES_MAX: Final = 8 * 1024  # At once, so that other calls get their turn in between.
ADDRESSES_MAX: Final = 4  # A name with more has them for load, not for reach.
LOOKUP_SECONDS_MAX: Final = 2.0  # For the first question to a name server; each repetition waits longer.
LOOKUPS_MAX: Final = 3


def system_resolver() -> AbstractResolver:
    """Ask the system's name servers. No look-up takes a thread: one that hangs delays no other."""
    return aiohttp.AsyncResolver(timeout=LOOKUP_SECONDS_MAX, tries=LOOKUPS_MAX)


class CheckingResolver(AbstractResolver):
    """Looks names up, and hands their addresses on only where a webhook may go to each of them."""

    def __init__(self, inner: AbstractResolver, *, allow_private: bool) -> None:
        self._inner = inner
        self._allow_private = allow_private

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Look a name up; raises OSError where it has no address, UrlRefused where it leads where it must not."""
        found = await self._inner.resolve(host, port, family)
        for one in found:
            check_address(ip_address(one["host"]), allow_private=self._allow_private)
        return found[:ADDRESSES_MAX]

    async def close(self) -> None:
        """Ask nothing more."""
        await self._inner.close()


class Allowance:
    """How many bytes a receiver may still send in one call."""

    def __init__(self) -> None:
        self.left = READ_BYTES_MAX

    def next(self, wanted: int) -> int:
        """Tell how many bytes to read now; raises OSError where none are left."""
        if self.left <= 0:
            raise OSError("the receiver answered too much")
        return min(wanted, self.left, STEP_BYTES_MAX)


class BoundedSocket(socket.socket):
    """A socket that reads no more than its call's allowance: what is never read is never parsed either."""

    def __init__(self, family: int, kind: int, protocol: int, allowance: Allowance) -> None:
        super().__init__(family, kind, protocol)
        self._allowance = allowance

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Read as ``socket.recv``, within the allowance."""
        data = super().recv(self._allowance.next(bufsize), flags)
        self._allowance.left -= len(data)
        return data

    def recv_into(self, buffer: "bytearray | memoryview", nbytes: int = 0, flags: int = 0, /) -> int:  # type: ignore[override] # a buffer of any kind
        """Read as ``socket.recv_into``, within the allowance."""
        size = super().recv_into(buffer, self._allowance.next(nbytes or len(buffer)), flags)
        self._allowance.left -= size
        return size


class ReceiverClient:
    """Posts webhooks. Each call has a connection of its own, to an address that was checked for this call."""

    def __init__(
        self, settings: ReceiverSettings, resolver: AbstractResolver, *, tls: ssl.SSLContext | None = None
    ) -> None:
        self._settings = settings
        self._resolver = CheckingResolver(resolver, allow_private=settings.allow_private)
        self._tls = tls

    async def close(self) -> None:
        """Look up nothing more."""
        await self._resolver.close()

    async def check(self, url: str, *, seconds_max: float) -> None:
        """Raise UrlRefused where a webhook may not go; a name that has no address yet may have one later."""
        target = read_url(url, allow_private=self._settings.allow_private)
        if target.address is None:
            try:
                async with asyncio.timeout(seconds_max):
                    await self._resolver.resolve(target.host, target.port)
            except (OSError, TimeoutError):
                return

    async def post(self, url: str, headers: dict[str, str], body: bytes) -> Answer:
        """Post a body; raises ReceiverCallFailed. The time-out covers the whole call."""
        try:
            async with asyncio.timeout(self._settings.timeout_seconds):
                target = read_url(url, allow_private=self._settings.allow_private)
                return await self._exchange(target, headers, body)
        except TimeoutError:
            message = f"no complete answer within {self._settings.timeout_seconds:g} s"
            raise ReceiverCallFailed(message) from None
        except UrlRefused as error:
            raise ReceiverCallFailed(str(error)) from None

    async def _exchange(self, target: Target, headers: dict[str, str], body: bytes) -> Answer:
        allowance = Allowance()
        connector = aiohttp.TCPConnector(
            resolver=self._resolver,
            use_dns_cache=False,
            force_close=True,
            ssl=True if self._tls is None else self._tls,
            socket_factory=lambda where: BoundedSocket(where[0], where[1], where[2], allowance),
        )
        session = aiohttp.ClientSession(  # One for each call: no cookie outlives it.
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            skip_auto_headers=("Accept-Encoding",),
            auto_decompress=False,
            trust_env=False,
        )
        url = URL(f"{target.scheme}://{target.authority}{target.path}", encoded=True)
        try:
            async with (
                session,
                session.post(
                    url, data=body, headers={"Host": target.authority, **headers}, allow_redirects=False
                ) as response,
            ):
                beginning = await _begin_to_read(response, allowance)
        except aiohttp.ClientConnectorError as error:  # Nothing was sent.
            raise ReceiverCallFailed(_shown("cannot connect", error)) from None
        except (aiohttp.ClientError, OSError) as error:
            if allowance.left <= 0:
                message = f"the answer did not end within {READ_BYTES_MAX} bytes"
                raise ReceiverCallFailed(message) from None
            raise ReceiverCallFailed(_shown("the exchange broke off", error)) from None
        retry_after = next((value for name, value in response.raw_headers if name.lower() == b"retry-after"), None)
        return Answer(response.status, None if retry_after is None else retry_after.decode("latin-1")[:64], beginning)


async def _begin_to_read(response: aiohttp.ClientResponse, allowance: Allowance) -> bytes:
    """Read an answer to its end or to the end of the allowance; returns the first bytes."""
    beginning = b""
    try:
        async for part in response.content.iter_any():
            beginning += part[: ANSWER_BYTES_MAX - len(beginning)]
    except (aiohttp.ClientError, OSError):
        if allowance.left > 0:
            raise
        # The status is enough; the rest of the body is not awaited.
    return beginning


def _shown(what: str, error: Exception) -> str:
    """Say what failed, without addresses: a merchant need not learn what our network looks like."""
    cause = error.__cause__ or error.__context__ or error
    if isinstance(cause, ssl.SSLError):
        return f"{what}: TLS: {cause.reason or 'failed'}"
    if isinstance(cause, OSError) and cause.errno:  # Its own text would name the address.
        return f"{what}: {os.strerror(cause.errno)}"
    if isinstance(error, aiohttp.ClientConnectorDNSError) and isinstance(cause, OSError) and cause.strerror:
        return f"{what}: {cause.strerror}"
    return what
