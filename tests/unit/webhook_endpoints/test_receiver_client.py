"""Calling receivers on loopback: the address that was judged is the one that is called, and nothing takes long."""

import asyncio
import gzip
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress

import aiohttp
import msgspec
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from paidonce.webhook_endpoints.receiver_client import ANSWER_BYTES_MAX, READ_BYTES_MAX, ReceiverClient
from paidonce.webhook_endpoints.receiver_messages import Answer, ReceiverCallFailed, ReceiverSettings
from paidonce.webhook_endpoints.ssrf import UrlRefused
from tests.support.certificates import certificate_for
from tests.support.dns_server import name_server
from tests.unit.webhook_endpoints.running import until

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


def flooding(head: bytes, part: bytes) -> Talk:
    """Say a head, and then the same for ever, as fast as it is taken."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head)
        while True:
            writer.write(part * 1000)
            await writer.drain()

    return talk


class Names(AbstractResolver):
    """A resolver for which every name has these addresses; the last ones stay when the others are used up."""

    def __init__(self, *addresses: str) -> None:
        self._left = list(addresses)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        assert self._left, f"{host} was looked up for {family}"
        found = self._left.pop(0) if len(self._left) > 1 else self._left[0]
        if not found:
            raise OSError(None, "no such name")
        return [
            ResolveResult(hostname=host, host=one, port=port, family=socket.AF_INET, proto=0, flags=0)
            for one in found.split(",")
        ]

    async def close(self) -> None:
        """Hold nothing."""


def receivers(
    *addresses: str, allow_private: bool = True, timeout_seconds: float = 5.0, tls: ssl.SSLContext | None = None
) -> ReceiverClient:
    """Make the outside, in which every name has these addresses, one list for each look-up."""
    return ReceiverClient(ReceiverSettings(allow_private, timeout_seconds), Names(*addresses), tls=tls)


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
    assert b"\r\nx-test: 1\r\n" in heard[0]
    assert heard[0].endswith(b"\r\n\r\n{}")


async def test_the_path_and_query_arrive_as_they_are_written() -> None:
    heard: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n"))
        writer.write(b"HTTP/1.1 204 None\r\n\r\n")

    async with listening(talk) as port:
        await receivers().post(f"http://127.0.0.1:{port}/a%2Fb/%7e;c//d?x=%20+y&z='", {}, b"{}")
    assert heard == [b"POST /a%2Fb/%7e;c//d?x=%20+y&z=' HTTP/1.1\r\n"]


async def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with listening(saying(b"HTTP/1.1 204 None\r\n\r\n")) as port:
        assert (await call(port)).status == 204


async def test_no_cookie_is_kept_for_the_next_call_and_no_packed_answer_is_unpacked() -> None:
    heard: list[bytes] = []
    packed = gzip.compress(b"0" * 100_000)
    answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Path=/\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer % len(packed) + packed)

    outside = receivers("127.0.0.1")
    async with listening(talk) as port:
        answers = [await outside.post(f"http://shop.example:{port}/", {}, b"{}") for _ in range(2)]
    assert [one.beginning for one in answers] == [packed[:ANSWER_BYTES_MAX]] * 2
    assert [name for name in (b"cookie", b"accept-encoding") if name in b"".join(heard).lower()] == []


@pytest.mark.parametrize("said", [b"\xff\xfe", b"\xed\xa0\x80", b"soon" * 100])
async def test_whatever_bytes_retry_after_has_it_comes_back_as_text_that_can_be_written(said: bytes) -> None:
    async with listening(saying(b"HTTP/1.1 503 Busy\r\nRetry-After: " + said + b"\r\n\r\n")) as port:
        answer = await call(port)
    assert answer.retry_after == said.decode("latin-1")[:64]
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(answer), type=Answer) == answer


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
        with pytest.raises(ReceiverCallFailed, match=r"no complete answer within 0\.3 s"):
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


@pytest.mark.parametrize(
    "flood",
    [b"HTTP/1.1 100 \r\n\r\n", b"HTTP/1.1 103 Hints\r\na: b\r\n\r\n"],
    ids=["interim answers", "interim answers with headers"],
)
async def test_a_receiver_that_never_comes_to_an_answer_is_left_after_so_many_bytes(flood: bytes) -> None:
    async with listening(flooding(b"", flood)) as port:
        with pytest.raises(ReceiverCallFailed, match="the answer did not end within 65536 bytes"):
            await call(port, timeout_seconds=50)


@pytest.mark.parametrize("chunk", [b"1\r\nx\r\n", b"1;" + b"e" * 100 + b"\r\nx\r\n"])
async def test_a_body_in_chunks_of_one_byte_without_an_end_is_left_after_so_many_bytes(chunk: bytes) -> None:
    async with listening(flooding(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunk)) as port:
        answer = await call(port, timeout_seconds=50)
    assert (answer.status, set(answer.beginning)) == (200, {ord("x")})
    assert len(answer.beginning) <= min(ANSWER_BYTES_MAX, READ_BYTES_MAX // len(chunk) + 1)


async def test_a_flood_over_tls_is_left_after_so_many_bytes_too() -> None:
    server, client = certificate_for("shop.example")
    async with listening(flooding(b"", b"HTTP/1.1 100 \r\n\r\n"), server) as port:
        with pytest.raises(ReceiverCallFailed, match="the answer did not end within 65536 bytes"):
            await receivers("127.0.0.1", timeout_seconds=50, tls=client).post(
                f"https://shop.example:{port}/", {}, b"{}"
            )


async def test_a_body_that_breaks_off_is_a_failure() -> None:
    async with listening(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")) as port:
        with pytest.raises(ReceiverCallFailed, match="the exchange broke off"):
            await call(port)


@pytest.mark.parametrize("said", [b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 40_000, b""])
async def test_what_is_no_answer_is_a_failure(said: bytes) -> None:
    async with listening(saying(said)) as port:
        with pytest.raises(ReceiverCallFailed, match="the exchange broke off"):
            await call(port)


async def test_nobody_listening_is_a_failure() -> None:
    async with listening(saying()) as port:
        pass
    with pytest.raises(
        ReceiverCallFailed, match=r"^cannot connect: Connection refused$"
    ):  # No address of ours is told.
        await call(port)


async def test_a_name_that_leads_inside_is_refused_before_anything_connects() -> None:
    connected = False

    async def talk(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        nonlocal connected
        connected = True

    async with listening(talk) as port:
        outside = receivers("127.0.0.1", allow_private=False)
        with pytest.raises(ReceiverCallFailed, match="not on the public internet"):
            await outside.post(f"https://shop.example:{port}/", {}, b"{}")
    assert not connected


async def test_one_private_address_among_public_ones_refuses_all() -> None:
    outside = receivers("8.8.8.8,10.0.0.1", allow_private=False)
    with pytest.raises(ReceiverCallFailed, match="not on the public internet"):
        await outside.post("https://shop.example/", {}, b"{}")


async def test_a_name_that_is_public_when_it_is_checked_and_private_when_it_is_called_is_not_called() -> None:
    outside = receivers("8.8.8.8", "127.0.0.1", allow_private=False)
    await outside.check("https://shop.example/", seconds_max=1)
    with pytest.raises(ReceiverCallFailed, match="not on the public internet"):
        await outside.post("https://shop.example/", {}, b"{}")


async def test_within_one_call_a_name_is_looked_up_once_and_that_address_is_connected_to() -> None:
    # Looked up a second time it would lead to where nobody answers.
    async with listening(saying(b"HTTP/1.1 204 None\r\n\r\n")) as port:
        outside = receivers("127.0.0.1", "192.168.255.254")
        assert (await outside.post(f"http://shop.example:{port}/", {}, b"{}")).status == 204


async def test_a_url_that_leads_inside_is_refused_when_it_is_checked_and_one_that_leads_nowhere_yet_is_not() -> None:
    with pytest.raises(UrlRefused):
        await receivers("10.0.0.1", allow_private=False).check("https://shop.example/", seconds_max=1)
    outside = receivers("", allow_private=False)
    await outside.check("https://shop.example/", seconds_max=1)
    with pytest.raises(ReceiverCallFailed, match="cannot connect"):
        await outside.post("https://shop.example/", {}, b"{}")


async def test_the_certificate_must_be_the_names_though_the_address_is_connected_to() -> None:
    server, client = certificate_for("shop.example")
    async with listening(saying(b"HTTP/1.1 204 None\r\n\r\n"), server) as port:
        outside = receivers("127.0.0.1", tls=client)
        assert (await outside.post(f"https://shop.example:{port}/", {}, b"{}")).status == 204
        with pytest.raises(ReceiverCallFailed, match="TLS: CERTIFICATE_VERIFY_FAILED"):
            await outside.post(f"https://other.example:{port}/", {}, b"{}")


async def test_names_that_hang_delay_no_other_and_names_that_do_not_exist_fail_at_once() -> None:
    async with (
        listening(saying(b"HTTP/1.1 204 None\r\n\r\n")) as port,
        name_server({"shop.example": "127.0.0.1"}) as names,
    ):
        resolver = aiohttp.AsyncResolver(nameservers=[f"127.0.0.1:{names.port}"], timeout=50.0, tries=1)
        outside = ReceiverClient(ReceiverSettings(allow_private=True, timeout_seconds=50), resolver)
        dead = [
            asyncio.create_task(outside.post(f"http://hangs-{number}.example:{port}/", {}, b"{}"))
            for number in range(100)
        ]
        await until(lambda: len({name for name in names.asked if name.startswith("hangs")}) == len(dead))
        assert (await outside.post(f"http://shop.example:{port}/", {}, b"{}")).status == 204
        with pytest.raises(ReceiverCallFailed, match="cannot connect: Domain name not found"):
            await outside.post(f"http://missing.example:{port}/", {}, b"{}")
        assert [task for task in dead if task.done()] == []
        for task in dead:
            task.cancel()
        await asyncio.gather(*dead, return_exceptions=True)
        await outside.close()


async def test_a_name_that_hangs_fails_when_the_time_of_its_call_is_over() -> None:
    async with name_server({}) as names:
        resolver = aiohttp.AsyncResolver(nameservers=[f"127.0.0.1:{names.port}"], timeout=50.0, tries=1)
        outside = ReceiverClient(ReceiverSettings(allow_private=True, timeout_seconds=0.2), resolver)
        with pytest.raises(ReceiverCallFailed, match=r"no complete answer within 0\.2 s"):
            await outside.post("http://hangs.example/", {}, b"{}")
        await outside.close()
