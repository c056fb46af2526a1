"""One client's connection: its requests are answered one after the other, and everything it can make us wait for ends.

No request costs a timer: the server looks at every connection twice a second (``look``).
"""

import asyncio
from collections import deque
from typing import Final, cast

import structlog

from paidonce import ids
from paidonce.errors import BodyTooLarge, Overloaded, PaidonceError, RequestTimeout
from paidonce.web.addresses import address_of
from paidonce.web.channel import CLOSE, INVITATION, STATUS_LINES, AnswerChannel
from paidonce.web.clients import Clients
from paidonce.web.parsing import Parser, Part
from paidonce.web.proxies import Proxies
from paidonce.web.reply import LARGE_BYTES_MIN
from paidonce.web.request import Request

log = structlog.get_logger()

PIPELINE_MAX: Final = 32  # Requests that wait behind the one that is answered; one packet could bring thousands.
KEEP_ALIVE_SECONDS: Final = 75  # Longer than the usual 60 s of a proxy in front, so that it is the proxy that closes.
LINGER_SECONDS: Final = 2.0  # To read what still comes: closing earlier could destroy the answer on its way.
LINGER_BYTES_MAX: Final = 1024 * 1024
STALL_SECONDS_MAX: Final = 30.0  # For a client that does not read its answer.


class Connection(asyncio.Protocol):
    """A client's connection. One request on it is being answered at a time, through its channel."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._loop = asyncio.get_running_loop()
        self._parser = Parser(self._take)
        self._client = ""
        self._address: str | None = None  # Under which it is counted, where it is.
        self._proxies: Proxies | None = None  # Where the client is one of them.
        self._answering: Request | None = None
        self._waiting: deque[Request] = deque()  # What came whole behind it.
        self._is_stopping = False
        self._is_half_closed = False  # The client sends nothing more, but may still read.
        self._is_paused = False
        self._is_lingering = False
        self._lingering_bytes = 0
        self._deadline: float | None = None
        self._stalled_since: float | None = None
        self._closing_since: float | None = None

    # What the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a new client, or tell it that there are too many; an address that has too many is told nothing."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its class.
        peer = transport.get_extra_info("peername")
        self._client = peer[0] if peer else ""
        # What a client leaves unread is to be noticed before it is much.
        self._transport.set_write_buffer_limits(LARGE_BYTES_MIN)
        self._channel = AnswerChannel(self._transport, self._clients, self._resume_reading)
        proxies = self._clients.proxies
        if proxies is not None and proxies.trust(self._client):
            self._proxies = proxies
        else:
            address = address_of(self._client)
            if not self._clients.by_address.enter(address):
                self._transport.abort()  # Whoever opens so many is not worth an answer.
                return
            self._address = address
        self._clients.connections.add(self)
        self._deadline = self._loop.time() + self._clients.header_seconds
        if len(self._clients.connections) > self._clients.connection_limit:
            self._parser.fault = Overloaded()
            self._tell(self._parser.fault)
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - it is over, for whatever reason
        """Let go. What is being answered goes on: what it asked for may be done already."""
        self._clients.connections.discard(self)
        if self._address is not None:
            self._clients.by_address.leave(self._address)
        self._parser.close()
        self._channel.close()

    def data_received(self, data: bytes) -> None:
        """Read what has arrived."""
        parser = self._parser
        if parser.fault is not None:
            self._discard(data)
            return
        if parser.feed(data) is not None:
            self._refuse()
        elif parser.part is not Part.NOTHING and parser.has_moved:
            parser.has_moved = False
            self._bound()
            self._invite()

    def _bound(self) -> None:
        """Give the part that is being read its time."""
        in_body = self._parser.part is Part.BODY
        seconds = self._clients.body_seconds if in_body else self._clients.header_seconds
        self._deadline = self._loop.time() + seconds

    def eof_received(self) -> bool:
        """Close, but not before those are answered who said that they have nothing more to say."""
        self._is_half_closed = True
        self._channel.has_left.set()
        if not self._waiting:
            self._channel.is_last = True
        return self._answering is not None

    def pause_writing(self) -> None:
        """Note that the client does not read."""
        self._stalled_since = self._loop.time()
        self._channel.is_flowing.clear()

    def resume_writing(self) -> None:
        """Note that the client reads again."""
        self._stalled_since = None
        self._channel.is_flowing.set()
        if self._answering is None:
            self._go_on()

    # One request after the other

    def _take(self, request: Request) -> PaidonceError | None:
        request.client = self._client
        if self._proxies is not None:
            self._proxies.tell_client(request)
        if self._answering is None and not self._waiting and self._stalled_since is None:
            self._begin(request)
            return None
        if len(self._waiting) >= PIPELINE_MAX:
            return Overloaded()
        self._waiting.append(request)
        self._pause_reading()
        return None

    def _begin(self, request: Request) -> None:
        self._answering = request
        is_last = request.is_last or self._is_stopping or (self._is_half_closed and not self._waiting)
        self._channel.open(request, is_last=is_last)
        request.gone = self._channel.gone
        if self._parser.part is Part.NOTHING:
            self._deadline = None  # From here on it is our time that runs.
        if request.expects_invitation:
            self._transport.write(INVITATION)
        self._task = self._loop.create_task(self._answer(request))
        self._clients.tasks.add(self._task)

    async def _answer(self, request: Request) -> None:
        try:
            await self._clients.answer(request, self._channel)
        except Exception:
            log.exception("answer_failed", path=request.path)
        finally:
            self._clients.tasks.discard(self._task)
            self._answering = None
            if self._channel.is_last or not self._channel.has_ended:
                self._transport.close()
            else:
                self._go_on()

    def _go_on(self) -> None:
        """Do what is next, while no request is being answered."""
        if self._transport.is_closing() or self._stalled_since is not None:
            return
        if self._waiting:
            self._begin(self._waiting.popleft())
        elif self._parser.fault is not None:
            self._refuse()
        else:
            if self._parser.part is Part.NOTHING:
                self._deadline = self._loop.time() + KEEP_ALIVE_SECONDS
            else:
                if self._is_paused:
                    self._bound()  # It was not the client that kept us waiting.
                self._invite()
            self._resume_reading()

    def _invite(self) -> None:
        """Ask for the body that waits to be asked for, if there is one and it is its turn."""
        request = self._parser.request
        if request is not None and request.expects_invitation and self._answering is None:
            request.expects_invitation = False
            self._transport.write(INVITATION)

    # What is refused

    def _refuse(self) -> None:
        """Read nothing more. What arrived whole is answered first and in its order; then comes the refusal."""
        if self._is_lingering or self._transport.is_closing():
            return
        if self._answering is not None or self._waiting:
            self._deadline = None
            self._pause_reading()
            return  # ``_go_on`` comes back here.
        assert self._parser.fault is not None, "something is refused"
        self._tell(self._parser.fault)
        self._is_lingering = True
        self._deadline = self._loop.time() + LINGER_SECONDS
        self._resume_reading()
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def _tell(self, fault: PaidonceError) -> None:
        request_id = ids.new_id(ids.REQUEST)
        path = self._parser.path if isinstance(fault, BodyTooLarge) else ""
        told = self._clients.tell(fault, path, request_id)
        named = b"x-request-id: %b\r\n" % request_id.encode()
        lines = [STATUS_LINES[told.status], self._clients.date, *told.headers, named, CLOSE, b"\r\n", told.body]
        self._transport.write(b"".join(lines))

    def _discard(self, data: bytes) -> None:
        self._lingering_bytes += len(data)
        if self._lingering_bytes > LINGER_BYTES_MAX:
            self._pause_reading()

    def _pause_reading(self) -> None:
        if not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._is_paused and not self._transport.is_closing():
            self._is_paused = False
            self._transport.resume_reading()

    # What the server asks

    def look(self, now: float) -> None:
        """End what has taken too long; ``now`` is the loop's time."""
        if self._transport.is_closing():
            # What is written last may wait for a client that reads nothing.
            self._closing_since = self._closing_since or now
            if now - self._closing_since > LINGER_SECONDS:
                self._transport.abort()
        elif self._stalled_since is not None and now - self._stalled_since > STALL_SECONDS_MAX:
            self._transport.abort()
        elif self._deadline is not None and now >= self._deadline:
            self._end()

    def _end(self) -> None:
        part = "header" if self._parser.part is Part.HEAD else "body"
        if self._is_lingering:
            self._transport.abort()
        elif self._is_paused:
            return  # Nobody is late while we do not read.
        elif self._parser.part is Part.NOTHING:
            self._transport.close()
        else:
            self._parser.fault = RequestTimeout(f"The {part} of the request did not arrive in time; nothing was done.")
            self._refuse()

    def stop(self) -> None:
        """Answer what is here, and close: at once, where nothing is."""
        self._is_stopping = self._channel.is_last = True
        if self._answering is None and self._parser.part is not Part.BODY:
            self._transport.close()

    def abort(self) -> None:
        """Close, whatever is under way."""
        self._transport.abort()
