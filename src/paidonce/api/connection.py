"""One connection: uvicorn's protocol, with an end to everything that a client may make it wait for or hold.

uvicorn reads headers and bodies for as long, and headers as large, as a client likes. Deadlines here cost no timer: the
server looks at every connection twice a second (``look``).
"""

import asyncio
from typing import Any, Final

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from paidonce import ids
from paidonce.api.problems import tell_problem
from paidonce.errors import (
    BodyTooLarge,
    HeadersTooLarge,
    MalformedRequest,
    Overloaded,
    PaidonceError,
    RequestTimeout,
    TargetTooLong,
)
from paidonce.web.request import BODY_BYTES_MAX

TARGET_BYTES_MAX: Final = 8 * 1024  # RFC 9110 asks for 8000 at least.
HEAD_BYTES_MAX: Final = 16 * 1024  # Names and values together; twice what most proxies let through.
HEADERS_MAX: Final = 100
WIRE_BYTES_MAX: Final = 4 * BODY_BYTES_MAX  # Of a body as it is sent: chunk sizes, extensions and trailers count too.
# Two of one of these would be read in two ways: by a proxy the first, by us the last.
ONCE: Final = frozenset(
    (
        b"authorization",
        b"content-length",
        b"content-type",
        b"host",
        b"idempotency-key",
        b"transfer-encoding",
        b"x-request-id",
    )
)
PIPELINE_MAX: Final = 32  # Requests that wait behind the one that is answered; uvicorn takes thousands from one packet.
LINGER_SECONDS: Final = 2.0  # To read what still comes: closing earlier could destroy the answer on its way.
LINGER_BYTES_MAX: Final = 1024 * 1024
STALL_SECONDS_MAX: Final = 30.0  # For a client that does not read its answer.


class ConnectionConfig(uvicorn.Config):
    """uvicorn's configuration, and what a connection may take."""

    header_seconds: float
    body_seconds: float
    connection_limit: int


class _RefusedError(Exception):
    """Stops the parser in a callback; the connection holds why."""


class Connection(HttpToolsProtocol):
    """A client's connection: HTTP/1.1, read strictly, in bounded time and space."""

    config: ConnectionConfig

    def __init__(
        self,
        config: ConnectionConfig,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        # The parser makes a scope for each request as it begins. These tell how far one has come.
        self._begun: object = None  # Its head is not whole: not after the first packet, at least.
        self._judged: object = None  # Its head was whole, and right.
        self._bytes = 0  # Since one of the two became so; what came in the same packet is not counted.
        self._packet_bytes = 0
        self._deadline: float | None = None
        self._replay = b""
        self._fault: PaidonceError | None = None  # Why nothing more is read.
        self._lingering = False
        self._stalled_since: float | None = None
        self._closing_since: float | None = None

    # What the transport tells

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Take a new client, or tell it that there are too many."""
        super().connection_made(transport)
        self._deadline = self.loop.time() + self.config.header_seconds
        if len(self.connections) > self.config.connection_limit:
            self._fault = Overloaded()
            self._tell(self._fault)
            transport.close()

    def data_received(self, data: bytes) -> None:
        """Read what has arrived."""
        if self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()
        self._packet_bytes = len(data)
        self._bytes += self._packet_bytes
        if self._fault is not None:
            self._discard()
            return
        self._read(data)
        cycle = self._newest()
        if self.scope is not self._judged or cycle is None or cycle.more_body or cycle.response_complete:
            self._bound(cycle)
        else:
            self._deadline = None  # The request is whole: from here on it is our time that runs.

    def _newest(self) -> RequestResponseCycle | None:
        return self.cycle  # uvicorn says that there is one from the start; there is not.

    def _read(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._read_without_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse(self._fault or MalformedRequest("This is not HTTP/1.1 as RFC 9112 has it."))

    def _bound(self, cycle: RequestResponseCycle | None) -> None:
        """Bound what is still to come, in bytes and in time."""
        if self._fault is not None:
            return
        if self.scope is not self._judged:
            if self.scope is not self._begun:
                self._begun = self.scope
                self._bytes = 0
                self._deadline = None
            elif self._bytes > HEAD_BYTES_MAX:
                self._refuse(_too_long(self.url))
                return
        elif self._bytes > WIRE_BYTES_MAX:
            self._refuse(_body_too_large())
            return
        if self._deadline is None:
            in_body = self.scope is self._judged and cycle is not None and cycle.more_body
            self._deadline = self.loop.time() + (self.config.body_seconds if in_body else self.config.header_seconds)

    def _discard(self) -> None:
        if self._lingering and self._bytes > LINGER_BYTES_MAX:
            self.flow.pause_reading()

    def _read_without_upgrade(self, rest: bytes) -> None:
        # The parser leaves the body of a request that offers an upgrade unread, and would take it for the next request.
        # Some clients offer HTTP/2 with every POST: read it again, as if the offer were not there.
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # As uvicorn has it.
        self._read(self._replay + rest)

    def pause_writing(self) -> None:
        """Note that the client does not read."""
        super().pause_writing()
        self._stalled_since = self.loop.time()

    def resume_writing(self) -> None:
        """Note that the client reads again."""
        super().resume_writing()
        self._stalled_since = None

    # What the parser tells

    def on_headers_complete(self) -> None:
        """Judge the head as a whole, before anything is done for it."""
        if self.parser.should_upgrade():
            self._replay = self._head_without_upgrade()
            return
        fault = self._judge_head()
        if fault is not None:
            self._fault = fault
            raise _RefusedError
        self._judged = self.scope
        self._bytes = 0
        self._deadline = None
        super().on_headers_complete()
        self.headers = []  # Trailers come here, and go nowhere: the request has its own list.

    def _should_upgrade(self) -> bool:
        """Leave a request that offers an upgrade alone, for ``_read_without_upgrade``."""
        return True

    def _judge_head(self) -> PaidonceError | None:
        if len(self.url) > TARGET_BYTES_MAX:
            return _too_long(self.url)
        if len(self.headers) > HEADERS_MAX or (
            self._packet_bytes + self._bytes > HEAD_BYTES_MAX
            and sum(len(name) + len(value) for name, value in self.headers) > HEAD_BYTES_MAX
        ):
            return _too_long(b"")
        if len(self.pipeline) >= PIPELINE_MAX:
            return Overloaded()
        said: dict[bytes, bytes] = {}
        for name, value in self.headers:
            if name in ONCE:
                if name in said:
                    return MalformedRequest(f"The header {name.decode()} is there twice.")
                said[name] = value
        if int(said.get(b"content-length", 0)) > BODY_BYTES_MAX:
            return _body_too_large()
        return self._judge_version(said)

    def _judge_version(self, said: dict[bytes, bytes]) -> PaidonceError | None:
        version = self.parser.get_http_version()
        if version == "1.1":
            return None if b"host" in said else MalformedRequest("HTTP/1.1 asks for a Host.")
        if version != "1.0":
            return MalformedRequest("This is HTTP/1.1, and HTTP/1.0 for old clients.")
        return MalformedRequest("Only HTTP/1.1 has Transfer-Encoding.") if b"transfer-encoding" in said else None

    def _head_without_upgrade(self) -> bytes:
        method = self.parser.get_method()
        if method == b"CONNECT":
            self._fault = MalformedRequest("This is no proxy.")
            raise _RefusedError
        lines = [b"%b %b HTTP/%b" % (method, self.url, self.parser.get_http_version().encode())]
        for name, value in self.headers:
            if name == b"connection":
                kept = [token for token in value.split(b",") if token.strip().lower() != b"upgrade"]
                lines.append(b"connection: %b" % b",".join(kept))
            elif name != b"upgrade":
                lines.append(b"%b: %b" % (name, value))
        return b"\r\n".join([*lines, b"", b""])

    # What is refused

    def _refuse(self, fault: PaidonceError) -> None:
        """Read nothing more. What arrived whole is answered first and in its order; then comes the refusal."""
        self._fault = fault
        self._deadline = None
        broken = self._unfinished()
        if self.transport.is_closing() or (self.pipeline if broken else self._is_answering()):
            return  # ``look`` comes back here.
        if broken is None:
            self._tell(fault)
        elif not broken.response_started:
            broken.disconnected = True
            broken.message_event.set()
            self._tell(fault)
        elif not broken.response_complete:
            self.transport.abort()
            return
        self._linger()

    def _unfinished(self) -> RequestResponseCycle | None:
        """Find the request of which the head is here, and the body is not; it may be answered already."""
        cycle = self._newest()
        return cycle if cycle is not None and cycle.more_body and self.scope is self._judged else None

    def _is_answering(self) -> bool:
        cycle = self._newest()
        return cycle is not None and not cycle.response_complete

    def _tell(self, fault: PaidonceError) -> None:
        request_id = ids.new_id(ids.REQUEST)
        path = self.url.partition(b"?")[0].decode("latin-1") if isinstance(fault, BodyTooLarge) else ""
        told = tell_problem(fault, path, request_id)
        headers = [
            *self.server_state.default_headers,
            *told.headers,
            (b"x-request-id", request_id.encode()),
            (b"connection", b"close"),
        ]
        lines = [b"%b: %b\r\n" % header for header in headers]
        self.transport.write(b"".join([STATUS_LINE[told.status], *lines, b"\r\n", told.body]))

    def _linger(self) -> None:
        self._lingering = True
        self._bytes = 0
        self._deadline = self.loop.time() + LINGER_SECONDS
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()

    # What the server asks

    def look(self, now: float) -> None:
        """End what has taken too long; ``now`` is the loop's time."""
        if self.transport.is_closing():
            # What is written last may wait for a client that reads nothing.
            self._closing_since = self._closing_since or now
            if now - self._closing_since > LINGER_SECONDS:
                self.transport.abort()
        elif self._stalled_since is not None and now - self._stalled_since > STALL_SECONDS_MAX:
            self.transport.abort()
        elif self._fault is not None and not self._lingering:
            self._refuse(self._fault)
        elif self._deadline is not None and now >= self._deadline:
            self._end()

    def _end(self) -> None:
        unfinished = self._unfinished()
        if self._lingering:
            self.transport.abort()
        elif self.scope is not self._judged:
            self._refuse(RequestTimeout("The header of the request did not arrive in time; nothing was done."))
        elif unfinished is not None and not unfinished.response_complete:
            self._refuse(RequestTimeout("The body of the request did not arrive in time; nothing was done."))
        else:
            self.transport.close()


def _too_long(target: bytes) -> PaidonceError:
    if len(target) > TARGET_BYTES_MAX:
        return TargetTooLong(f"A path and its query may have {TARGET_BYTES_MAX // 1024} KiB at the most.")
    return HeadersTooLarge(
        f"The headers may be {HEADERS_MAX} and have {HEAD_BYTES_MAX // 1024} KiB together at the most."
    )


def _body_too_large() -> PaidonceError:
    return BodyTooLarge(f"A body may have {BODY_BYTES_MAX // 1024} KiB at the most.")
