"""The parser: the same requests however the bytes are cut, none from bytes that could be read in two ways, and never
more kept than a client may send.
"""

from itertools import pairwise
from typing import Final, NamedTuple

import pytest
from hypothesis import given, settings, strategies as some
from paidonce.web.parsing import CHUNKS_MAX, HEAD_BYTES_MAX, HEADERS_MAX, TARGET_BYTES_MAX, WIRE_BYTES_MAX, Parser, Part
from paidonce.web.request import BODY_BYTES_MAX, Request

from paidonce.errors import PaidonceError

HOST: Final = b"Host: here\r\n"


class Read(NamedTuple):
    """What a parser made of some bytes."""

    requests: list[tuple[str, str, bytes, bytes]]
    fault: str
    part: Part


def read(*packets: bytes) -> Read:
    """Feed packets as a connection does: none behind a fault."""
    requests: list[tuple[str, str, bytes, bytes]] = []

    def take(request: Request) -> PaidonceError | None:
        requests.append((request.method, request.path, request.query, request.body))
        return None

    parser = Parser(take)
    fault = None
    for packet in packets:
        if fault is None:
            fault = parser.feed(packet)
    return Read(requests, fault.code if fault else "", parser.part)


def post(headers: bytes = b"", body: bytes = b"") -> bytes:
    return b"POST /a?b HTTP/1.1\r\n%b%b\r\n%b" % (HOST, headers, body)


def sized(body: bytes) -> bytes:
    return post(b"Content-Length: %d\r\n" % len(body), body)


def chunked(*chunks: bytes, trailers: bytes = b"") -> bytes:
    written = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return post(b"Transfer-Encoding: chunked\r\n", written + b"0\r\n" + trailers + b"\r\n")


WHOLE: Final = (
    post(),
    sized(b"body"),
    chunked(b"bo", b"dy"),
    chunked(b"body", trailers=b"X-T: a\r\nHost: elsewhere\r\n"),
    b"\r\n\r\n" + sized(b"GET / HTTP/1.1\r\n\r\n"),
    b"GET /%61%20b#c HTTP/1.1\r\n" + HOST + b"X-A: 1\r\nX-A: 2\r\n\r\n",
    b"GET http://elsewhere?q HTTP/1.1\r\n" + HOST + b"\r\n",
    b"POST / HTTP/1.1\r\n" + HOST + b"Connection: Upgrade, X\r\nUpgrade: h2c\r\nContent-Length: 4\r\n\r\nbody",
)
SAID: Final = [
    ("POST", "/a", b"b", b""),
    ("POST", "/a", b"b", b"body"),
    ("POST", "/a", b"b", b"body"),
    ("POST", "/a", b"b", b"body"),
    ("POST", "/a", b"b", b"GET / HTTP/1.1\r\n\r\n"),
    ("GET", "/a b", b"", b""),
    ("GET", "/", b"q", b""),
    ("POST", "/", b"", b"body"),
]


def test_each_request_is_read_and_all_of_them_from_one_packet() -> None:
    assert [read(one).requests for one in WHOLE] == [[said] for said in SAID]
    assert read(b"".join(WHOLE)) == Read(SAID, "", Part.NOTHING)


def test_byte_by_byte_is_the_same() -> None:
    together = b"".join(WHOLE)
    assert read(*(together[at : at + 1] for at in range(len(together)))) == Read(SAID, "", Part.NOTHING)


@given(some.lists(some.integers(0, sum(map(len, WHOLE))), max_size=12))
@settings(max_examples=60, deadline=None)
def test_wherever_packets_are_cut_is_the_same(cuts: list[int]) -> None:
    together = b"".join(WHOLE)
    places = [0, *sorted(cuts), len(together)]
    packets = [together[start:end] for start, end in pairwise(places)]
    assert read(*packets) == Read(SAID, "", Part.NOTHING)


PIECES: Final = (
    *(b"POST / HTTP/1.1\r\n", b"GET /a HTTP/1.0\r\n", b"GET * HTTP/1.1\r\n", HOST, b"\r\n", b"\n", b"\r", b" ", b"\0"),
    *(b"Content-Length: 5\r\n", b"Content-Length: 5, 5\r\n", b"Content-Length: \r\n", b"Content-Length : 5\r\n"),
    *(b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: identity\r\n", b"Transfer-Encoding:\x0bchunked\r\n"),
    *(
        b"5\r\nhello\r\n",
        b"0\r\n\r\n",
        b"5;a=b\r\n",
        b"hello",
        b"fffffffff\r\n",
        b"-1\r\n",
        b"X: y\r\n",
        b" folded\r\n",
    ),
    *(b"Connection: close\r\n", b"Connection: Upgrade\r\nUpgrade: h2c\r\n", b"Expect: 100-continue\r\n"),
)


@given(some.lists(some.one_of(some.sampled_from(PIECES), some.binary(max_size=8)), max_size=24))
@settings(max_examples=300, deadline=None)
def test_whatever_comes_ends_in_requests_or_one_fault_and_however_it_is_cut_in_the_same(pieces: list[bytes]) -> None:
    together = b"".join(pieces)
    whole = read(together)
    assert read(*pieces) == whole
    assert read(*(together[at : at + 1] for at in range(len(together)))) == whole
    assert whole.fault in ("", "malformed_request")


@pytest.mark.parametrize(
    "smuggled",
    [
        post(b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
        post(b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", b"0\r\n\r\n"),
        post(b"Content-Length: 0\r\nContent-Length: 44\r\n"),
        post(b"Content-Length: 0\r\nX: y\r\ncontent-length: 0\r\n"),
        post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", b"0\r\n\r\n"),
        post(b"Transfer-Encoding: chunked, identity\r\n", b"0\r\n\r\n"),
        post(b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n"),
        post(b"X: y\r\n Content-Length: 5\r\n", b"hello"),
        post(b"X: y\nContent-Length: 5\r\n", b"hello"),
        post(b"X: y\rContent-Length: 5\r\n", b"hello"),
        post(b"Transfer-Encoding: chunked\r\n", b"5\nhello\r\n0\r\n\r\n"),
        post(b"Transfer-Encoding: chunked\r\n", b"5\r\nhello0\r\n\r\n"),
        post(b"Transfer-Encoding: chunked\r\n", b"0x5\r\nhello\r\n0\r\n\r\n"),
        post(b"Transfer-Encoding: chunked\r\n", b"5 \r\nhello\r\n0\r\n\r\n"),
        post(b"Transfer-Encoding: chunked\r\n", b"5;\nx\r\nhello\r\n0\r\n\r\n"),
        post(HOST),
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1 \r\n" + HOST + b"\r\n",
        b"GET / HTTP/2.0\r\n" + HOST + b"\r\n",
        b"GET / HTTP/0.9\r\n" + HOST + b"\r\n",
    ],
)
def test_what_two_readers_could_take_for_two_things_is_no_request(smuggled: bytes) -> None:
    found = read(smuggled + post())
    assert (found.requests, found.fault) == ([], "malformed_request")


def test_nothing_is_read_behind_a_request_that_ends_its_connection() -> None:
    last = post(b"Connection: close\r\n")
    offer = post(b"Connection: Upgrade\r\nUpgrade: h2c\r\n")
    assert read(last + post(), post(), b"\0") == Read(SAID[:1], "", Part.NOTHING)
    assert read(post(b"Connection: close, Upgrade\r\nUpgrade: h2c\r\n") + offer * 5000).requests == SAID[:1]
    assert len(read(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" * 2).requests) == 1


@pytest.mark.parametrize("in_one_packet", [True, False])
@pytest.mark.parametrize(
    ("long", "fault"),
    [
        (b"GET /%b HTTP/1.1\r\n%b\r\n" % (b"a" * (TARGET_BYTES_MAX - 1), HOST), ""),
        (b"GET /%b HTTP/1.1\r\n%b\r\n" % (b"a" * TARGET_BYTES_MAX, HOST), "target_too_long"),
        (post(b"X: a\r\n" * (HEADERS_MAX - 1)), ""),
        (post(b"X: a\r\n" * HEADERS_MAX), "headers_too_large"),
        (post(b"X-A: %b\r\n" % (b"a" * (HEAD_BYTES_MAX - 11))), ""),
        (post(b"X-A: %b\r\n" % (b"a" * (HEAD_BYTES_MAX - 10))), "headers_too_large"),
        (sized(b"a" * BODY_BYTES_MAX), ""),
        (sized(b"a" * (BODY_BYTES_MAX + 1)), "body_too_large"),
        (chunked(b"a" * BODY_BYTES_MAX), ""),
        (chunked(b"a" * BODY_BYTES_MAX, b"a"), "body_too_large"),
        (chunked(*[b"a"] * CHUNKS_MAX), ""),
        (chunked(*[b"a"] * (CHUNKS_MAX + 1)), "body_too_large"),
        (chunked(b"a")[:-2] + b"X: a\r\n" * (HEADERS_MAX + 1) + b"\r\n", "headers_too_large"),
    ],
)
def test_as_much_as_may_be_is_read_and_a_byte_more_refused(long: bytes, fault: str, in_one_packet: bool) -> None:  # noqa: FBT001 - a case
    step = len(long) if in_one_packet else 1000
    found = read(*(long[at : at + step] for at in range(0, len(long), step)))
    assert (found.fault, len(found.requests)) == (fault, 0 if fault else 1)


def test_what_one_request_takes_is_not_counted_for_the_next() -> None:
    large = sized(b"a" * (BODY_BYTES_MAX - 1))
    assert len(read(large * 3).requests) == 3
    assert read(large + post()[:9], post()[9:]) == Read(
        [("POST", "/a", b"b", large[-BODY_BYTES_MAX + 1 :]), SAID[0]], "", Part.NOTHING
    )


@pytest.mark.parametrize(
    ("beginning", "more", "fault", "bytes_max"),
    [
        (b"GET / HTTP/1.1\r\nX-A: ", b"a", "headers_too_large", HEAD_BYTES_MAX),
        (b"GET / HTTP/1.1\r\nX", b"X", "headers_too_large", HEAD_BYTES_MAX),
        (b"GET /", b"a", "target_too_long", HEAD_BYTES_MAX),
        (
            b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n5;",
            b"a",
            "body_too_large",
            WIRE_BYTES_MAX,
        ),
        (chunked()[:-2] + b"X-A: ", b"a", "body_too_large", WIRE_BYTES_MAX),
    ],
)
def test_what_has_no_end_is_refused_when_it_is_too_much(
    beginning: bytes, more: bytes, fault: str, bytes_max: int
) -> None:
    packet = more * (1000 // len(more))
    endless = [beginning, *[packet] * (bytes_max // len(packet))]
    assert read(*endless).fault == ""
    assert read(*endless, packet, packet).fault == fault
