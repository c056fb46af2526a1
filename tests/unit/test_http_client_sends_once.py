"""The HTTP client with broken exchanges: nothing is sent twice, and no sent request is reported as not sent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

import pytest

from paidonce.http_client import Answer, AnswerLost, HttpClient, NoAnswer, NotSent
from paidonce.proving.processes import free_port
from tests.support.certificates import certificate_for
from tests.support.raw_server import OK, SILENCE, Part, RawServer, answer, raw_server, turn_the_loop

# aiohttp sends a GET, PUT or DELETE again by itself where a connection that was kept has ended.
METHODS = ("POST", "GET", "PUT", "DELETE")
CLOSED_IN = {
    "before the head": Part(closing=True),
    "before the head, with a reset": Part(resetting=True),
    "behind an interim answer": Part(b"HTTP/1.1 100 Continue\r\n\r\n", closing=True),
    "in the head": Part(b"HTTP/1.1 200 OK\r\ncontent-le", closing=True),
    "behind the head": Part(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n", closing=True),
    "in the body": Part(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n{", closing=True),
    "in the body, with a reset": Part(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n{", resetting=True),
    "in a chunk": Part(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\n{", closing=True),
    "between two chunks": Part(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n", closing=True),
    "no HTTP": Part(b"\x00\x01 nonsense\r\n\r\n", closing=True),
    "a chunk of no size": Part(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n", closing=True),
}
KEY = "att_1"


@asynccontextmanager
async def client_of(url: str, *, timeout_seconds: float = 90, connections_max: int = 8) -> AsyncIterator[HttpClient]:
    client = HttpClient(url, timeout_seconds=timeout_seconds, connections_max=connections_max)
    try:
        yield client
    finally:
        await client.close()


async def ask(client: HttpClient, method: str = "POST", key: str = KEY) -> Answer:
    body = {"key": key} if method in ("POST", "PUT") else None
    return await client.request(method, "/charges", body, headers={"Idempotency-Key": key})


def times_sent(server: RawServer, key: str = KEY) -> int:
    return sum(f"Idempotency-Key: {key}\r\n".encode() in request for request in server.requests)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kept", [False, True], ids=["new connection", "kept connection"])
@pytest.mark.parametrize("closed", CLOSED_IN.values(), ids=CLOSED_IN)
async def test_a_request_whose_connection_breaks_is_lost_and_not_sent_again(
    closed: Part, method: str, *, kept: bool
) -> None:
    script = [OK, closed, OK] if kept else [closed, OK]
    async with raw_server(*script) as server, client_of(server.url) as client:
        if kept:
            await ask(client, key="before")
        with pytest.raises(AnswerLost):
            await ask(client, method)
        assert (times_sent(server), server.connections) == (1, 1)
        assert (await ask(client, method, "after")).body == b"{}"
        assert (times_sent(server), server.connections) == (1, 2)


@pytest.mark.parametrize("method", METHODS)
async def test_a_connection_that_was_closed_while_it_was_idle_is_not_used(method: str) -> None:
    async with raw_server() as server, client_of(server.url) as client:
        await ask(client, key="before")
        await server.hang_up()
        assert (await ask(client, method)).body == b"{}"
        assert (times_sent(server), server.connections) == (1, 2)


@pytest.mark.parametrize("method", METHODS)
async def test_a_connection_that_closes_as_it_is_used_again_sends_a_request_at_most_once(method: str) -> None:
    closing = Part(answer(b"{}"), closing=True)  # It keeps what it says to itself: no "connection: close".
    async with raw_server(closing) as server, client_of(server.url) as client:
        for number in range(20):
            outcomes = await asyncio.gather(
                *(ask(client, method, f"{number}-{one}") for one in "abc"), return_exceptions=True
            )
            for one, outcome in zip("abc", outcomes, strict=True):
                sent = times_sent(server, f"{number}-{one}")
                match outcome:
                    case Answer():
                        assert sent == 1
                    case AnswerLost():
                        assert sent <= 1
                    case _:
                        raise AssertionError(outcome)


async def test_a_request_that_is_not_answered_in_time_is_lost() -> None:
    async with raw_server(SILENCE) as server, client_of(server.url, timeout_seconds=0.2) as client:
        for number in count():
            with pytest.raises(NoAnswer, match=r"no complete answer within 0\.2 s") as failed:
                await ask(client, key=f"att_{number}.")
            if times_sent(server, f"att_{number}."):
                assert failed.type is AnswerLost
                return
            # The machine was so slow that there was no connection in time. The next one finds out.


async def test_where_nobody_listens_and_where_a_name_has_no_address_nothing_is_sent() -> None:
    # No resolver asks anybody about a name in .onion (RFC 7686): it has no address anywhere.
    for host in (f"127.0.0.1:{free_port()}", "nowhere.onion"):
        for scheme in ("http", "https"):
            async with client_of(f"{scheme}://{host}") as client:
                with pytest.raises(NotSent) as failed:
                    await ask(client)
                assert host.partition(":")[0] not in str(failed.value)


async def test_where_the_certificate_is_not_believed_nothing_is_sent() -> None:
    certificate, _ = certificate_for("localhost")
    async with raw_server(tls=certificate) as server, client_of(f"https://localhost:{server.port}") as client:
        with pytest.raises(NotSent):
            await ask(client)
        assert server.requests == []


@pytest.mark.parametrize("hanging", [False, True], ids=["closes", "hangs"])
async def test_where_the_tls_handshake_does_not_end_nothing_is_sent(*, hanging: bool) -> None:
    received = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await reader.read(100))
        if hanging:
            received.append(await reader.read())
        writer.close()

    listener = await asyncio.start_server(refuse, "127.0.0.1", 0)
    url = f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    async with client_of(url, timeout_seconds=0.5 if hanging else 90) as client:
        with pytest.raises(NotSent):
            await ask(client)
    listener.close()
    await turn_the_loop()
    assert received[0][:1] == b"\x16", "a handshake's first byte"


async def test_what_finds_no_free_connection_in_time_was_not_sent() -> None:
    async with raw_server(SILENCE) as server, client_of(server.url, timeout_seconds=0.5, connections_max=1) as client:
        outcomes = await asyncio.gather(
            *(ask(client, key=f"att_{number:02}") for number in range(20)), return_exceptions=True
        )
        kinds = [type(outcome) for outcome in outcomes]
        assert set(kinds) <= {NotSent, AnswerLost}
        assert NotSent in kinds
        for number, kind in enumerate(kinds):
            assert times_sent(server, f"att_{number:02}") <= (kind is AnswerLost)
