"""Calling receivers on loopback: the address that was judged is the one that is called, and nothing takes long."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_address

import pytest

from paidonce.outbox.addresses import UrlRefused
from paidonce.outbox.calling import ANSWER_BYTES_MAX, Address, Answer, CallFailed, Receivers
from tests.certificates import certificate_for

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[None, None, None]]


@asynccontextmanager
async def listening(talk: Talk, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Serve connections on loopback with ``talk``; yields the port."""
    talks: list[asyncio.Task[None]] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talking = asyncio.ensure_future(talk(reader, writer))
        talks.append(talking)
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await talking
        writer.transport.abort() if talking.cancelled() else writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for one in talks:
            one.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


def saying(*parts: bytes, pause_seconds: float = 0.0) -> Talk:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause_seconds)

    return talk


async def nobody(host: str, port: int) -> Sequence[Address]:
    raise AssertionError(f"{host}:{port} was looked up")


def receivers(
    *addresses: str, allow_private: bool = True, timeout_seconds: float = 5.0, tls: ssl.SSLContext | None = None
) -> Receivers:
    """Make the outside, in which every name has these addresses; the last one stays when the others are used up."""
    left = list(addresses)

    async def resolve(host: str, port: int) -> Sequence[Address]:
        assert (host, port) != ("", 0)
        return [ip_address(one) for one in (left.pop(0) if len(left) > 1 else left[0]).split(",")]

    return Receivers(
        allow_private=allow_private,
        timeout_seconds=timeout_seconds,
        resolve=resolve if addresses else nobody,
        tls=None if tls is None else lambda: tls,
    )


async def call(port: int, **how: float) -> Answer:
    return await receivers(**how).post(f"http://127.0.0.1:{port}/hook", {"x-test": "1"}, b"{}")  # type: ignore[arg-type]


async def test_a_post_arrives_with_its_headers_and_body_and_the_answer_comes_back() -> None:
    heard: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n") + await reader.readexactly(2))
        writer.write(b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nlate")

    async with listening(talk) as port:
        assert await call(port) == Answer(503, "7", b"late")
    assert heard[0].startswith(b"POST /hook HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n" % port)
    assert heard[0].endswith(b"x-test: 1\r\n\r\n{}")


async def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    async with listening(saying(b"HTTP/1.1 307 Elsewhere\r\nLocation: http://127.0.0.1:1/\r\n\r\n")) as port:
        assert (await call(port)).status == 307


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [b"HTTP/1.1 200 OK\r\n"],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"] + [b"x"] * 200,
        [b"HTTP/1.1 100 Continue\r\n\r\n"] * 200,
    ],
    ids=["silence", "half a head", "a body by the byte", "interim answers for ever"],
)
async def test_the_whole_exchange_has_one_limit_whatever_trickles_in(parts: list[bytes]) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await saying(*parts, pause_seconds=0.02)(reader, writer)
        await reader.read()

    async with listening(talk) as port:
        began = asyncio.get_running_loop().time()
        with pytest.raises(CallFailed, match=r"no complete answer within 0\.3 s"):
            await call(port, timeout_seconds=0.3)
        assert asyncio.get_running_loop().time() - began < 2


async def test_no_more_is_read_of_an_answer_than_is_worth_it() -> None:
    sent = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 65_536)
            await writer.drain()
            sent += 65_536

    async with listening(talk) as port:
        answer = await call(port)
    assert (answer.status, answer.beginning) == (200, b"x" * ANSWER_BYTES_MAX)
    assert sent < 16 * 1024 * 1024  # What buffers take in; without a bound it would not end.


@pytest.mark.parametrize("said", [b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 40_000, b""])
async def test_what_is_no_answer_is_a_failure(said: bytes) -> None:
    async with listening(saying(said)) as port:
        with pytest.raises(CallFailed, match="the exchange broke off"):
            await call(port)


async def test_nobody_listening_is_a_failure() -> None:
    async with listening(saying()) as port:
        pass
    with pytest.raises(CallFailed, match="cannot connect"):
        await call(port)


async def test_a_name_that_leads_inside_is_refused_before_anything_connects() -> None:
    connected = False

    async def talk(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        nonlocal connected
        connected = True

    async with listening(talk) as port:
        outside = receivers("127.0.0.1", allow_private=False)
        with pytest.raises(CallFailed, match="not on the public internet"):
            await outside.post(f"https://shop.example:{port}/", {}, b"{}")
    assert not connected


async def test_one_private_address_among_public_ones_refuses_all() -> None:
    outside = receivers("8.8.8.8,10.0.0.1", allow_private=False)
    with pytest.raises(CallFailed, match="not on the public internet"):
        await outside.post("https://shop.example/", {}, b"{}")


async def test_a_name_that_is_public_when_it_is_checked_and_private_when_it_is_called_is_not_called() -> None:
    outside = receivers("8.8.8.8", "127.0.0.1", allow_private=False)
    await outside.check("https://shop.example/", seconds_max=1)
    with pytest.raises(CallFailed, match="not on the public internet"):
        await outside.post("https://shop.example/", {}, b"{}")


async def test_within_one_call_a_name_is_looked_up_once_and_that_address_is_connected_to() -> None:
    # Looked up a second time it would lead to where nobody answers.
    async with listening(saying(b"HTTP/1.1 204 None\r\n\r\n")) as port:
        outside = receivers("127.0.0.1", "192.168.255.254")
        assert (await outside.post(f"http://shop.example:{port}/", {}, b"{}")).status == 204


async def test_a_url_that_leads_inside_is_refused_when_it_is_checked_and_one_that_leads_nowhere_yet_is_not() -> None:
    with pytest.raises(UrlRefused):
        await receivers("10.0.0.1", allow_private=False).check("https://shop.example/", seconds_max=1)

    async def missing(_host: str, _port: int) -> Sequence[Address]:
        raise OSError("no such name")

    outside = Receivers(allow_private=False, timeout_seconds=1, resolve=missing)
    await outside.check("https://shop.example/", seconds_max=1)
    with pytest.raises(CallFailed, match="cannot connect"):
        await outside.post("https://shop.example/", {}, b"{}")


async def test_the_certificate_must_be_the_names_though_the_address_is_connected_to() -> None:
    server, client = certificate_for("shop.example")
    async with listening(saying(b"HTTP/1.1 204 None\r\n\r\n"), server) as port:
        outside = receivers("127.0.0.1", tls=client)
        assert (await outside.post(f"https://shop.example:{port}/", {}, b"{}")).status == 204
        with pytest.raises(CallFailed, match="TLS: CERTIFICATE_VERIFY_FAILED"):
            await outside.post(f"https://other.example:{port}/", {}, b"{}")
