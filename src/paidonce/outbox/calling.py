"""Calling a receiver: look its name up, judge every address, connect to one of those, post, read little, in time.

Nothing is imported before the first webhook is sent, and nothing is taken from the environment: no proxy.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from paidonce.outbox.addresses import Target, UrlRefused, judge_address, read_url

if TYPE_CHECKING:
    import httpcore

ANSWER_BYTES_MAX: Final = 1024  # Enough to see what a receiver complains of.
READ_BYTES_MAX: Final = 64 * 1024  # More is not waited for: the status has said it all.
ADDRESSES_MAX: Final = 4  # A name with more has them for load, not for reach.
CONNECT_SECONDS_MAX: Final = 5.0  # For one address, so that another can be tried within the time of all.
LOOKUPS_AT_ONCE_MAX: Final = 64

Address: TypeAlias = IPv4Address | IPv6Address

Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[Address]]]
"""Looks a name up; raises OSError where it has no address."""


class Answer(msgspec.Struct, frozen=True):
    """What a receiver answered: its status, ``Retry-After`` as it said it, and the first bytes of the body."""

    status: int
    retry_after: str | None
    beginning: bytes


class CallFailed(Exception):
    """No answer came; the text says why, in a few words."""


class Resolver:
    """Asks the system. It has threads of its own: a name server that hangs holds up no other work of the process."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(LOOKUPS_AT_ONCE_MAX, thread_name_prefix="resolver")

    async def __call__(self, host: str, port: int) -> Sequence[Address]:
        """Look a name up, as ``Resolve`` says."""
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, self._ask, host, port)
        return list(dict.fromkeys(found))

    def _ask(self, host: str, port: int) -> list[Address]:
        # Not ip_address of whatever was asked for: what the system connects to is what it answers here.
        answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return [ip_address(str(place[0])) for *_, place in answers]

    def close(self) -> None:
        """Ask nothing more; who hangs is left to itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class Receivers:
    """The outside, as webhooks see it. One call is one connection, to an address that was judged for that call."""

    def __init__(
        self,
        *,
        allow_private: bool,
        timeout_seconds: float,
        resolve: Resolve,
        tls: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        self._allow_private = allow_private
        self._timeout_seconds = timeout_seconds
        self._resolve = resolve
        self._make_tls = tls
        self._tls: ssl.SSLContext | None = None
        self._loading = asyncio.Lock()
        self._is_loaded = False

    async def check(self, url: str, *, seconds_max: float) -> None:
        """Raise UrlRefused where a webhook may not go; a name that has no address yet may have one later."""
        target = read_url(url, allow_private=self._allow_private)
        if target.address is None and not self._allow_private:
            try:
                async with asyncio.timeout(seconds_max):
                    await self.addresses_of(target)
            except (OSError, TimeoutError):
                return

    async def addresses_of(self, target: Target) -> Sequence[Address]:
        """Find the addresses of a target, each of them judged: one that is refused refuses all."""
        address = target.address
        found = [address] if address is not None else await self._resolve(target.host, target.port)
        for one in found:
            judge_address(one, allow_private=self._allow_private)
        return found[:ADDRESSES_MAX]

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Post a body; raises CallFailed. The time is limited as a whole, whatever the receiver does with it."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                target = read_url(url, allow_private=self._allow_private)
                return await self._exchange(target, headers, body)
        except TimeoutError:
            message = f"no complete answer within {self._timeout_seconds:g} s"
            raise CallFailed(message) from None
        except UrlRefused as error:
            raise CallFailed(str(error)) from None

    async def _exchange(self, target: Target, headers: Mapping[str, str], body: bytes) -> Answer:
        tls = await self._loaded(target.scheme)
        import httpcore

        connection = httpcore.AsyncHTTPConnection(
            httpcore.Origin(target.scheme.encode(), target.host.encode(), target.port),
            ssl_context=tls,
            network_backend=_judging()(self, target),  # type: ignore[call-arg]
        )
        request = httpcore.Request(
            "POST",
            httpcore.URL(
                scheme=target.scheme.encode(), host=target.host.encode(), port=target.port, target=target.path.encode()
            ),
            headers=[("Host", target.authority), ("Content-Length", str(len(body))), *headers.items()],
            content=body,
        )
        try:
            response = await connection.handle_async_request(request)
            beginning = await _begin_to_read(response)
        except (httpcore.ConnectError, httpcore.ConnectTimeout, OSError) as error:
            raise CallFailed(_shown("cannot connect", error)) from None
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
            raise CallFailed(_shown("the exchange broke off", error)) from None
        finally:
            await connection.aclose()
        said = next((value for name, value in response.headers if name.lower() == b"retry-after"), None)
        return Answer(response.status, None if said is None else said.decode("latin-1")[:64], beginning)

    async def _loaded(self, scheme: str) -> ssl.SSLContext | None:
        """Import the client and, for https, read the authorities: once, and beside the event loop."""
        async with self._loading:
            if not self._is_loaded:
                await asyncio.to_thread(_import)
                self._is_loaded = True
            if self._tls is None and scheme == "https":
                self._tls = await asyncio.to_thread(self._read_authorities)
        return self._tls

    def _read_authorities(self) -> ssl.SSLContext:
        import httpcore

        return httpcore.default_ssl_context() if self._make_tls is None else self._make_tls()


def _import() -> None:
    import httpcore  # noqa: F401 - a fifth of a second, which must not stop the event loop


@cache
def _judging() -> "type[httpcore.AsyncNetworkBackend]":
    """Make the class of what connects: it asks, judges, and connects to the very address that it judged."""
    import httpcore

    class Judging(httpcore.AnyIOBackend):
        def __init__(self, receivers: Receivers, target: Target) -> None:
            self._receivers = receivers
            self._target = target

        async def connect_tcp(
            self,
            host: str,  # noqa: ARG002 - the target is what was judged
            port: int,
            timeout: float | None = None,  # noqa: ARG002, ASYNC109 - httpcore's signature; the time is limited as a whole
            local_address: str | None = None,
            socket_options: Iterable[Any] | None = None,
        ) -> httpcore.AsyncNetworkStream:
            failed: Exception = OSError("the name has no address")
            for address in await self._receivers.addresses_of(self._target):
                try:
                    return await super().connect_tcp(
                        str(address), port, CONNECT_SECONDS_MAX, local_address, socket_options
                    )
                except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                    failed = error
            raise failed

    return Judging


async def _begin_to_read(response: "httpcore.Response") -> bytes:
    """Read an answer to its end, but not beyond a bound; returns the first bytes."""
    beginning = b""
    size = 0
    async for part in response.aiter_stream():
        beginning += part[: ANSWER_BYTES_MAX - len(beginning)]
        size += len(part)
        if size >= READ_BYTES_MAX:
            break
    return beginning


def _shown(what: str, error: Exception) -> str:
    """Say what failed, without addresses: a merchant need not learn what our network looks like."""
    cause = error.__cause__ or error.__context__ or error
    if isinstance(cause, ssl.SSLError):
        return f"{what}: TLS: {cause.reason or 'failed'}"
    if isinstance(cause, OSError) and cause.strerror:
        return f"{what}: {cause.strerror}"
    return what
