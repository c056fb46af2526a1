"""What one client, and one address, may take of a connection's memory and of connections."""

import asyncio
from typing import Final

import pytest
from paidonce.web.application import Application
from paidonce.web.connection import STALL_SECONDS_MAX, Connection
from paidonce.web.reply import Reply
from paidonce.web.request import Request
from paidonce.web.routing import Route

from paidonce.api.problems import answer_error
from tests.inside import ANSWER_SECONDS_MAX, Wire, clients_of

LARGE: Final = b"x" * 100_000


class SlowReader:
    """A client that asks for a large answer and does not read it."""

    def __init__(self) -> None:
        application = Application([Route("GET", "/", self.show_much)], None, answer_error=answer_error)
        self.clients = clients_of(application)
        self.connection = Connection(self.clients)
        self.wire = Wire(self.connection)
        self.connection.data_received(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")

    async def show_much(self, _request: Request, _context: object) -> Reply:
        self.connection.pause_writing()  # As the transport does when the client takes in less than it is sent.
        return Reply(LARGE)

    def look(self, seconds: float) -> None:
        """Look at the connection as the server does, so many seconds from now."""
        self.connection.look(asyncio.get_running_loop().time() + seconds)

    async def finish(self) -> None:
        """Wait until its request is over."""
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            while self.clients.tasks:
                await asyncio.wait(self.clients.tasks)


async def test_a_large_answer_is_over_when_its_client_has_read_it_and_not_before() -> None:
    client = SlowReader()
    await client.wire.until(LARGE)
    for _ in range(10):
        await asyncio.sleep(0)
    assert client.clients.tasks
    client.connection.resume_writing()
    await client.finish()


@pytest.mark.parametrize("is_cut", [False, True])
async def test_a_large_answer_is_over_when_its_client_has_gone_or_reads_nothing_for_too_long(*, is_cut: bool) -> None:
    client = SlowReader()
    await client.wire.until(LARGE)
    if is_cut:
        client.look(STALL_SECONDS_MAX - 1)
        assert client.wire.done == []
        client.look(STALL_SECONDS_MAX + 1)
        assert client.wire.done == ["abort"]
    client.wire.hang_up()
    await client.finish()


async def test_of_one_address_only_so_many_connections_are_taken_and_the_rest_is_closed_at_once() -> None:
    clients = clients_of(
        Application([], None, answer_error=answer_error),
        connection_limit=100,
        connections_per_address=2,
        proxies="10.0.0.0/8",
    )

    def connect(address: str) -> Wire:
        return Wire(Connection(clients), address)

    taken = [connect("2001:db8::1"), connect("2001:db8::2")]
    beyond = connect("2001:db8::3")
    assert [one.done for one in (*taken, beyond)] == [[], [], ["abort"]]
    beyond.hang_up()
    assert connect("2001:db8::4").done == ["abort"], "one that was not taken gives no place back"
    assert connect("2001:db8:0:1::1").done == []
    assert [connect("10.0.0.1").done for _ in range(5)] == [[]] * 5, "a trusted proxy speaks for many"
    taken[0].hang_up()
    assert connect("2001:db8::5").done == []
