"""The connection: one request after the other, and an end to everything, on a pretended transport and a clock that is
told the time.
"""

import asyncio
from typing import Final

import pytest
from paidonce.web.application import Application
from paidonce.web.connection import (
    KEEP_ALIVE_SECONDS,
    LINGER_BYTES_MAX,
    LINGER_SECONDS,
    PIPELINE_MAX,
    STALL_SECONDS_MAX,
    Connection,
)
from paidonce.web.reply import Channel, Reply
from paidonce.web.request import Request
from paidonce.web.routing import Route
from structlog.testing import capture_logs

from paidonce.api.problems import answer_error
from paidonce.errors import PaidonceError
from tests.inside import ANSWER_SECONDS_MAX, Wire, clients_of

OK: Final = b"HTTP/1.1 200 OK\r\n"
GO_ON: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
CLOSE: Final = b"\r\nconnection: close\r\n"


def get(path: bytes = b"/", *, headers: bytes = b"", version: bytes = b"1.1") -> bytes:
    return b"GET %b HTTP/%b\r\nHost: here\r\n%b\r\n" % (path, version, headers)


def head_of_post(length: int, headers: bytes = b"") -> bytes:
    return b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: %d\r\n%b\r\n" % (length, headers)


class Stream:
    """An answer that comes in pieces, as many as the test lets through the door."""

    def __init__(self, pieces: "asyncio.Queue[bytes | None]") -> None:
        self.status = 200
        self.headers: list[bytes] = []
        self.pieces = pieces
        self.has_left = False
        self.taken = 0

    async def send_to(self, channel: Channel) -> None:
        leaving = asyncio.ensure_future(self._leave(channel))
        channel.begin(self.status, self.headers)
        while (piece := await self.pieces.get()) is not None:
            await channel.write(piece)
            self.taken += 1
        channel.end()
        leaving.cancel()

    async def _leave(self, channel: Channel) -> None:
        await channel.gone()
        self.has_left = True
        self.pieces.put_nowait(None)


class Shop:
    """An application whose answers wait until they are let go, and one connection to it."""

    def __init__(self) -> None:
        routes = [
            Route(method, path, handler)
            for method, path, handler in (
                ("GET", "/", self.answer),
                ("POST", "/", self.answer),
                ("GET", "/slow", self.wait),
                ("GET", "/slow/{number}", self.wait),
                ("GET", "/stream", self.follow),
                ("GET", "/half", self.break_off),
            )
        ]
        self.begun: list[str] = []
        self.done: list[str] = []
        self.door = asyncio.Event()
        self.stream = Stream(asyncio.Queue())
        self.clients = clients_of(Application(routes, None, answer_error=answer_error))
        self.connection = Connection(self.clients)
        self.wire = Wire(self.connection)
        self.send = self.connection.data_received

    async def answer(self, request: Request, _context: object) -> Reply:
        return Reply(request.body or b"hello")

    async def wait(self, request: Request, _context: object, _number: str = "") -> Reply:
        self.begun.append(request.path)
        await self.door.wait()
        self.done.append(request.path)
        return Reply(request.path.encode())

    async def follow(self, _request: Request, _context: object) -> Stream:
        return self.stream

    async def break_off(self, _request: Request, _context: object) -> "Half":
        return Half()

    def look(self, seconds: float) -> None:
        """Look at the connection as the server does, so many seconds from now."""
        self.connection.look(asyncio.get_running_loop().time() + seconds)

    async def settle(self) -> None:
        """Let everything happen that can."""
        for _ in range(10):
            await asyncio.sleep(0)

    async def finish(self) -> None:
        """Wait until no handler runs."""
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            while self.clients.tasks:
                await asyncio.wait(self.clients.tasks)


class Half:
    """An answer that is begun and not ended."""

    def __init__(self) -> None:
        self.status = 200
        self.headers: list[bytes] = []

    async def send_to(self, channel: Channel) -> None:
        channel.begin(self.status, self.headers)


@pytest.fixture
async def shop() -> Shop:
    return Shop()


async def test_an_answer_is_written_at_once_with_a_date_its_length_and_its_id(shop: Shop) -> None:
    shop.send(get(headers=b"X-Request-Id: mine\r\n"))
    assert await shop.wire.until(b"hello") == (
        b"HTTP/1.1 200 OK\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
        b"content-type: application/json\r\ncontent-length: 5\r\nx-request-id: mine\r\n\r\nhello"
    )
    assert shop.wire.done == []


async def test_a_request_that_comes_byte_by_byte_is_the_same(shop: Shop) -> None:
    for byte in head_of_post(3) + b"abc" + get():
        shop.send(bytes([byte]))
    answers = await shop.wire.until(b"abc", b"hello")
    assert answers.count(OK) == 2


async def test_the_answer_to_head_has_no_body_but_its_length(shop: Shop) -> None:
    shop.send(get().replace(b"GET", b"HEAD") + get())
    first, _, rest = (await shop.wire.until(b"hello")).partition(b"\r\n\r\n")
    assert first.startswith(OK)
    assert b"content-length: 5" in first
    assert rest.startswith(OK)


# One after the other


async def test_requests_of_one_packet_are_answered_one_after_the_other_in_their_order(shop: Shop) -> None:
    shop.send(b"".join(get(b"/slow/%d" % number) for number in range(5)))
    await shop.settle()
    assert shop.begun == ["/slow/0"]
    assert shop.wire.done == ["pause"]
    shop.door.set()
    await shop.wire.until(*(b"/slow/%d" % number for number in range(5)))
    await shop.finish()
    assert shop.wire.done == ["pause", "resume"]


async def test_ten_thousand_requests_in_one_packet_are_refused_behind_the_first_ones(shop: Shop) -> None:
    shop.send(get() * 10_000)
    answers = await shop.wire.until(b"HTTP/1.1 503 ", CLOSE)
    assert answers.count(OK) == PIPELINE_MAX + 1
    assert answers.count(b"HTTP/1.1 ") == PIPELINE_MAX + 2


async def test_what_comes_behind_connection_close_is_ignored(shop: Shop) -> None:
    shop.send(get(headers=b"Connection: close\r\n") + get() + b"\0nonsense")
    shop.send(b"more nonsense\r\n\r\n")
    await shop.wire.until_done("close")
    answers = shop.wire.take()
    assert answers.count(b"HTTP/1.1 ") == 1
    assert CLOSE in answers


@pytest.mark.parametrize("headers", [b"", b"Connection: keep-alive\r\n"])
async def test_http_1_0_is_answered_and_closed(shop: Shop, headers: bytes) -> None:
    shop.send(get(version=b"1.0", headers=headers) + get())
    await shop.wire.until_done("close")
    answers = shop.wire.take()
    assert answers.startswith(OK)
    assert CLOSE in answers
    assert answers.count(b"hello") == 1


async def test_one_after_another_on_one_connection_and_silence_ends_it(shop: Shop) -> None:
    for _ in range(3):
        shop.send(get())
        await shop.wire.until(b"hello")
        await shop.finish()
        shop.look(KEEP_ALIVE_SECONDS - 1)
    assert shop.wire.done == []
    shop.send(b"\r\n")  # An empty line is nothing.
    shop.look(KEEP_ALIVE_SECONDS + 1)
    assert shop.wire.done == ["close"]


async def test_silence_while_the_client_waits_for_us_ends_nothing(shop: Shop) -> None:
    shop.send(get(b"/slow"))
    await shop.settle()
    shop.look(1000)
    shop.door.set()
    await shop.wire.until(b"/slow")
    assert shop.wire.done == []


# A body that waits to be asked for


async def test_a_body_is_asked_for_when_its_head_is_right(shop: Shop) -> None:
    shop.send(head_of_post(4, b"Expect: 100-Continue\r\n"))
    assert shop.wire.take() == GO_ON
    shop.send(b"body")
    answer = await shop.wire.until(b"body")
    assert answer.startswith(OK)


async def test_who_did_not_wait_to_be_asked_is_told_to_go_on_all_the_same(shop: Shop) -> None:
    shop.send(get() + head_of_post(4, b"Expect: 100-continue\r\n") + b"body")
    await shop.wire.until(b"hello", GO_ON + OK, b"body")


async def test_a_body_is_asked_for_in_its_turn(shop: Shop) -> None:
    shop.send(get(b"/slow") + head_of_post(4, b"Expect: 100-continue\r\n"))
    await shop.settle()
    assert shop.wire.take() == b""
    shop.door.set()
    answers = await shop.wire.until(b"/slow", GO_ON)
    assert answers.endswith(b"\r\n\r\n/slow" + GO_ON)
    shop.send(b"body")
    assert GO_ON not in await shop.wire.until(b"body")


async def test_a_body_is_not_asked_for_that_will_be_refused_or_by_an_old_client(shop: Shop) -> None:
    shop.send(head_of_post(70_000, b"Expect: 100-continue\r\n"))
    refused = shop.wire.take()
    old = Shop()
    old.send(head_of_post(4, b"Expect: 100-continue\r\n").replace(b"HTTP/1.1", b"HTTP/1.0") + b"body")
    answered = await old.wire.until(b"body")
    assert refused.startswith(b"HTTP/1.1 413 ")
    assert answered.startswith(OK)


# Who goes away


async def test_what_is_begun_goes_on_when_the_client_has_gone_and_what_waits_is_not_begun(shop: Shop) -> None:
    shop.send(get(b"/slow/1") + get(b"/slow/2"))
    await shop.settle()
    shop.wire.hang_up()
    shop.door.set()
    await shop.finish()
    assert (shop.begun, shop.done) == (["/slow/1"], ["/slow/1"])
    assert shop.wire.written == b""
    assert shop.clients.connections == set()


async def test_a_body_that_breaks_off_begins_nothing(shop: Shop) -> None:
    shop.send(head_of_post(10) + b"half")
    assert not shop.connection.eof_received()
    shop.wire.hang_up()
    await shop.settle()
    assert shop.wire.written == b""
    assert shop.clients.tasks == set()


async def test_who_has_nothing_more_to_say_is_answered_all_the_same(shop: Shop) -> None:
    shop.send(get(b"/slow/1") + get(b"/slow/2"))
    await shop.settle()
    assert shop.connection.eof_received(), "the transport would be closed"
    shop.door.set()
    await shop.wire.until(b"/slow/1", b"connection: close", b"/slow/2")
    await shop.wire.until_done("close")


async def test_the_last_answer_to_who_has_nothing_more_to_say_ends_the_connection(shop: Shop) -> None:
    shop.send(get(b"/slow"))
    await shop.settle()
    assert shop.connection.eof_received(), "the transport would be closed"
    shop.door.set()
    await shop.wire.until_done("close")
    assert CLOSE in shop.wire.written


async def test_who_goes_without_a_word_is_let_go_at_once(shop: Shop) -> None:
    shop.send(get())
    await shop.wire.until(b"hello")
    await shop.finish()
    assert not shop.connection.eof_received()


# Answers in pieces


async def test_a_stream_is_sent_in_chunks_and_ended(shop: Shop) -> None:
    shop.send(get(b"/stream"))
    head = await shop.wire.until(b"transfer-encoding: chunked\r\n")
    for piece in (b"one", b"", b"a piece of twenty-two!", None):
        shop.stream.pieces.put_nowait(piece)
    body = await shop.wire.until(b"0\r\n\r\n")
    assert b"content-length" not in head
    assert body == b"3\r\none\r\n16\r\na piece of twenty-two!\r\n0\r\n\r\n"
    assert shop.wire.done == []
    shop.send(get())
    await shop.wire.until(b"hello")


async def test_a_stream_to_http_1_0_has_no_chunks(shop: Shop) -> None:
    shop.stream.pieces.put_nowait(b"one")
    shop.stream.pieces.put_nowait(None)
    shop.send(get(b"/stream", version=b"1.0"))
    await shop.wire.until_done("close")
    answer = shop.wire.take()
    assert answer.endswith(b"\r\n\r\none")
    assert b"transfer-encoding" not in answer


async def test_a_stream_waits_for_a_client_that_does_not_read(shop: Shop) -> None:
    shop.send(get(b"/stream"))
    await shop.wire.until(b"\r\n\r\n")
    shop.connection.pause_writing()
    for _ in range(3):
        shop.stream.pieces.put_nowait(b"piece")
    await shop.settle()
    assert shop.stream.taken == 0
    assert shop.wire.take().count(b"piece") == 1
    shop.connection.resume_writing()
    await shop.wire.until(b"piece", b"piece")
    await shop.settle()
    assert shop.stream.taken == 3


@pytest.mark.parametrize("stuck", [False, True])
async def test_a_stream_learns_when_its_client_has_gone(shop: Shop, stuck: bool) -> None:  # noqa: FBT001 - a case
    shop.send(get(b"/stream"))
    await shop.wire.until(b"\r\n\r\n")
    if stuck:
        shop.connection.pause_writing()
        shop.stream.pieces.put_nowait(b"piece")
    await shop.settle()
    shop.wire.hang_up()
    await shop.finish()
    assert shop.stream.has_left


async def test_a_stream_learns_it_even_where_more_requests_wait_behind_it(shop: Shop) -> None:
    shop.send(get(b"/stream") + get())
    await shop.wire.until(b"\r\n\r\n")
    await shop.settle()
    assert shop.wire.done == ["pause", "resume"]


async def test_what_is_begun_and_not_ended_is_cut_off(shop: Shop) -> None:
    shop.send(get(b"/half") + get())
    await shop.wire.until_done("close")
    assert b"0\r\n\r\n" not in shop.wire.written
    assert shop.wire.written.count(OK) == 1


# What takes too long


async def test_who_does_not_read_the_answer_is_cut_off(shop: Shop) -> None:
    shop.connection.pause_writing()
    shop.look(STALL_SECONDS_MAX - 25)
    assert shop.wire.done == []
    shop.look(STALL_SECONDS_MAX + 1)
    assert shop.wire.done == ["abort"]


async def test_who_does_not_read_has_no_more_of_its_requests_begun(shop: Shop) -> None:
    shop.send(get(b"/slow/1") + get(b"/slow/2"))
    await shop.settle()
    shop.connection.pause_writing()
    shop.door.set()
    await shop.finish()
    shop.send(get(b"/slow/3"))
    await shop.settle()
    assert shop.begun == ["/slow/1"]
    shop.connection.resume_writing()
    await shop.wire.until(b"/slow/1", b"/slow/2", b"/slow/3")
    await shop.finish()
    shop.connection.pause_writing()
    shop.send(get(b"/slow/4"))
    await shop.settle()
    assert shop.begun[-1] == "/slow/3"


async def test_a_close_that_waits_for_a_client_that_does_not_read_ends_too(shop: Shop) -> None:
    shop.wire.close()
    shop.connection.look(100.0)
    shop.connection.look(100.0 + LINGER_SECONDS)
    assert shop.wire.done == ["close"]
    shop.connection.look(100.1 + LINGER_SECONDS)
    assert shop.wire.done == ["close", "abort"]


async def test_a_refusal_is_left_time_to_arrive_but_not_for_ever(shop: Shop) -> None:
    shop.send(b"nonsense\r\n\r\n")
    assert shop.wire.written.startswith(b"HTTP/1.1 400 ")
    assert shop.wire.done == ["eof"]
    shop.send(b"x" * LINGER_BYTES_MAX)
    shop.send(b"x")
    shop.look(0)
    assert shop.wire.done == ["eof", "pause"]
    shop.connection.resume_writing()
    shop.look(LINGER_SECONDS + 1)
    assert shop.wire.done == ["eof", "pause", "abort"]
    assert shop.wire.written.count(b"HTTP/1.1 400 ") == 1


@pytest.mark.parametrize("part", ["header", "body"])
async def test_a_deadline_moves_with_no_byte(shop: Shop, part: str) -> None:
    shop.send(b"GET / HTTP/1.1\r\n" if part == "header" else head_of_post(500))
    seconds = shop.clients.header_seconds if part == "header" else shop.clients.body_seconds
    for _ in range(100):
        shop.send(b"X")
    shop.look(seconds - 1)
    assert shop.wire.written == b""
    shop.look(seconds + 1)
    assert shop.wire.written.startswith(b"HTTP/1.1 408 ")
    assert f"The {part} of the request did not arrive in time".encode() in shop.wire.written


async def test_nobody_is_late_while_we_do_not_read(shop: Shop) -> None:
    shop.send(get(b"/slow/1") + get(b"/slow/2") + get(b"/slow/3")[:20])
    await shop.settle()
    shop.look(shop.clients.header_seconds + 1)
    shop.clients.header_seconds *= 2  # So that it shows whether its time begins anew.
    shop.door.set()
    await shop.wire.until(b"/slow/1", b"/slow/2")
    await shop.finish()
    shop.look(shop.clients.header_seconds - 1)
    assert shop.wire.written == b""
    shop.look(shop.clients.header_seconds + 1)
    assert shop.wire.written.startswith(b"HTTP/1.1 408 ")


async def test_a_refusal_waits_for_the_answers_before_it_and_reads_nothing_meanwhile(shop: Shop) -> None:
    shop.send(get(b"/slow") + b"nonsense\r\n\r\n")
    await shop.settle()
    assert shop.wire.done == ["pause"]
    assert shop.wire.written == b""
    shop.door.set()
    await shop.wire.until(b"/slow", b"HTTP/1.1 400 ")
    assert shop.wire.done == ["pause", "resume", "eof"]


# The end


async def test_at_the_end_a_resting_connection_closes_and_a_request_is_answered_first(shop: Shop) -> None:
    resting, reading = Shop(), Shop()
    reading.send(head_of_post(4) + b"bo")
    shop.send(get(b"/slow") + get())
    await shop.settle()
    for one in (resting, reading, shop):
        one.connection.stop()
    assert resting.wire.done == ["close"]
    assert reading.wire.done == []
    reading.send(b"dy")
    shop.door.set()
    for one in (reading, shop):
        await one.wire.until_done("close")
        assert one.wire.written.count(OK) == 1
        assert CLOSE in one.wire.written


async def test_an_answer_that_fails_half_way_ends_its_connection_and_no_more(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_channel: Channel) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(shop.stream, "send_to", fail)

    def refuse(_request: Request, _error: Exception) -> Reply:
        raise PaidonceError("even this")

    shop.clients.answer = Application([Route("GET", "/stream", shop.follow)], None, answer_error=refuse).answer
    with capture_logs() as logs:
        shop.send(get(b"/stream"))
        await shop.wire.until_done("close")
    assert shop.wire.written == b""
    assert shop.clients.tasks == set()
    assert [(entry["event"], entry["path"]) for entry in logs] == [("answer_failed", "/stream")]
