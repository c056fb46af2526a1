"""From bytes to requests, strictly: llhttp reads, and what two readers could take for two things is refused."""

from collections.abc import Callable
from enum import Enum
from typing import Final
from urllib.parse import unquote

import httptools

from paidonce.errors import BodyTooLarge, HeadersTooLarge, MalformedRequest, PaidonceError, TargetTooLong
from paidonce.web.request import BODY_BYTES_MAX, Request

TARGET_BYTES_MAX: Final = 8 * 1024  # RFC 9110 asks for 8000 at least.
HEAD_BYTES_MAX: Final = 16 * 1024  # Names and values together; twice what most proxies let through.
HEADERS_MAX: Final = 100
WIRE_BYTES_MAX: Final = 4 * BODY_BYTES_MAX  # Of a body as it is sent: chunk sizes, extensions and trailers count too.
CHUNKS_MAX: Final = (
    2048  # Each costs a call into Python; a body in parts of 32 bytes is one of nobody's who means well.
)
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


class Part(Enum):
    """What the next byte belongs to."""

    NOTHING = "nothing"  # Between two requests.
    HEAD = "head"
    BODY = "body"


class _RefusedError(Exception):
    """Stops llhttp in a callback; the parser holds why."""


class Parser:
    """Reads the requests of one connection, and hands each to ``take`` when it is whole.

    ``part`` is where it stands, ``has_moved`` tells since it was last set to False that a new part began, ``request``
    is the one whose body is being read, and ``fault`` is why nothing more will be read. Behind a request that ends its
    connection the parser ``has_ended``: what follows is ignored.
    """

    def __init__(self, take: Callable[[Request], PaidonceError | None]) -> None:
        self.part = Part.NOTHING
        self.has_moved = False
        self.request: Request | None = None
        self.fault: PaidonceError | None = None
        self.has_ended = False
        self._take = take
        self._target = b""
        self._lines: list[tuple[bytes, bytes]] = []
        self._pieces: list[bytes] = []
        self._body_bytes = 0
        self._packet_bytes = 0
        self._part_bytes = 0  # Since the part began; what came in the same packet is not counted.
        self._replay: bytes | None = None
        self._open()

    def _open(self) -> None:
        self._llhttp = httptools.HttpRequestParser(self)

    def close(self) -> None:
        """Read no more, and let go: llhttp, the connection and we hold each other."""
        del self._llhttp, self._take

    @property
    def path(self) -> str:
        """The path of the request that is being read, as it was sent."""
        return self._target.partition(b"?")[0].decode("latin-1")

    def feed(self, data: bytes) -> PaidonceError | None:
        """Read what has arrived; returns the fault, if now there is one."""
        self._packet_bytes = len(data)
        try:
            self._llhttp.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            return self.feed(self._head_again() + data[upgrade.args[0] :])
        except httptools.HttpParserError:
            if not self.has_ended and self.fault is None:
                self.fault = MalformedRequest("This is not HTTP/1.1 as RFC 9112 has it.")
            return self.fault
        if self.part is not Part.NOTHING:
            self._part_bytes += self._packet_bytes
            if self.part is Part.BODY:
                if self._part_bytes > WIRE_BYTES_MAX:
                    self.fault = _body_too_large()
            elif self._part_bytes > HEAD_BYTES_MAX:
                self.fault = _too_long(self._target)
        return self.fault

    def _begin(self, part: Part) -> None:
        self.part = part
        self.has_moved = True
        self._part_bytes = -self._packet_bytes

    def _head_again(self) -> bytes:
        # llhttp leaves the body of a request that offers an upgrade unread, and would take it for the next request.
        # Some clients offer HTTP/2 with every POST: read it again, as if the offer were not there.
        again, self._replay = self._replay, None
        assert again is not None, "it was kept when llhttp saw the offer"
        self._open()
        return again

    # What llhttp tells

    def on_message_begin(self) -> None:
        """Begin a head."""
        if self.has_ended:
            raise _RefusedError
        self._target = b""
        self._lines = []
        self._begin(Part.HEAD)

    def on_url(self, piece: bytes) -> None:
        """Take a piece of the target."""
        self._target += piece

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; trailers come here too, when nobody looks at the lines any more. Both count."""
        if len(self._lines) == HEADERS_MAX:
            raise self._refuse(_too_long(self._target))
        self._lines.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Judge the head as a whole, before anything is done for it."""
        if self._llhttp.should_upgrade():
            self._replay = self._head_without_upgrade()
            return
        if len(self._target) > TARGET_BYTES_MAX or self._has_a_long_head():
            raise self._refuse(_too_long(self._target))
        fields = self._fields()
        if b"content-length" in fields and int(fields[b"content-length"]) > BODY_BYTES_MAX:
            raise self._refuse(_body_too_large())
        request = self._make_request(fields)
        stays_open = self._llhttp.should_keep_alive()
        # Without being asked to, only HTTP/1.1 stays open; asking llhttp for the version takes longer.
        version = "1.1" if stays_open and b"connection" not in fields else self._llhttp.get_http_version()
        if version == "1.1":
            if b"host" not in fields:
                raise self._refuse(MalformedRequest("HTTP/1.1 asks for a Host."))
            request.is_last = not stays_open
            if b"expect" in fields:
                request.expects_invitation = fields[b"expect"].lower() == b"100-continue"
        elif version == "1.0":
            if b"transfer-encoding" in fields:
                raise self._refuse(MalformedRequest("Only HTTP/1.1 has Transfer-Encoding."))
            request.is_last = True
            request.takes_chunks = False
        else:
            raise self._refuse(MalformedRequest("This is HTTP/1.1, and HTTP/1.0 for old clients."))
        self.request = request
        self._begin(Part.BODY)

    def on_body(self, piece: bytes) -> None:
        """Take a piece of the body."""
        self._body_bytes += len(piece)
        if self._body_bytes > BODY_BYTES_MAX or len(self._pieces) == CHUNKS_MAX:
            raise self._refuse(_body_too_large())
        self._pieces.append(piece)

    def on_message_complete(self) -> None:
        """Hand the request on."""
        if self._replay is not None:
            return
        request, self.request = self.request, None
        assert request is not None, "its head was judged"
        if self._pieces:
            request.body = b"".join(self._pieces)
            self._pieces = []
            self._body_bytes = 0
        self.part = Part.NOTHING
        self.has_ended = request.is_last
        fault = self._take(request)
        if fault is not None:
            raise self._refuse(fault)

    # What makes a request

    def _refuse(self, fault: PaidonceError) -> _RefusedError:
        self.fault = fault
        return _RefusedError()

    def _has_a_long_head(self) -> bool:
        # One packet that is short enough needs no counting; that is nearly every request.
        if self._part_bytes + self._packet_bytes == 0 and self._packet_bytes <= HEAD_BYTES_MAX:
            return False
        return sum(len(name) + len(value) for name, value in self._lines) > HEAD_BYTES_MAX

    def _fields(self) -> dict[bytes, bytes]:
        fields = dict(self._lines)
        if len(fields) == len(self._lines):
            return fields
        fields = {}
        for name, value in self._lines:
            if name in fields:
                if name in ONCE:
                    raise self._refuse(MalformedRequest(f"The header {name.decode()} is there twice."))
                value = fields[name] + b", " + value  # noqa: PLW2901 - RFC 9110, 5.3: they are one list
            fields[name] = value
        return fields

    def _make_request(self, fields: dict[bytes, bytes]) -> Request:
        target = self._target
        if target[0] == ord("/") and b"#" not in target:
            raw_path, _, query = target.partition(b"?")
        else:
            parts = httptools.parse_url(target)
            raw_path, query = parts.path or b"/", parts.query or b""
        path = raw_path.decode("ascii")  # Raises where it is not: llhttp turns that into an error of its own.
        if "%" in path:
            path = unquote(path)
        return Request(self._llhttp.get_method().decode(), raw_path, path, query, fields)

    def _head_without_upgrade(self) -> bytes:
        method = self._llhttp.get_method()
        if method == b"CONNECT":
            raise self._refuse(MalformedRequest("This is no proxy."))
        lines = [b"%b %b HTTP/%b" % (method, self._target, self._llhttp.get_http_version().encode())]
        for name, value in self._lines:
            if name == b"connection":
                kept = [token for token in value.split(b",") if token.strip().lower() != b"upgrade"]
                lines.append(b"connection: %b" % b",".join(kept))
            elif name != b"upgrade":
                lines.append(b"%b: %b" % (name, value))
        return b"\r\n".join([*lines, b"", b""])


def _too_long(target: bytes) -> PaidonceError:
    if len(target) > TARGET_BYTES_MAX:
        return TargetTooLong(f"A path and its query may have {TARGET_BYTES_MAX // 1024} KiB at the most.")
    return HeadersTooLarge(
        f"The headers may be {HEADERS_MAX} and have {HEAD_BYTES_MAX // 1024} KiB together at the most."
    )


def _body_too_large() -> PaidonceError:
    return BodyTooLarge(f"A body may have {BODY_BYTES_MAX // 1024} KiB at the most.")
