"""Requests that no client library sends: each is answered cleanly or closed, and the service lives on as before."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.support.raw_http import Answer, connect
from tests.support.service_process import ServiceProcess, processes, wait_until

BODY: Final = b'{"merchantId":"raw","amount":1000,"currency":"USD","idempotencyKey":"raw"}'
HOST: Final = b"Host: localhost\r\n"
JSON: Final = HOST + b"Content-Type: application/json\r\n"
CHUNKED: Final = JSON + b"Transfer-Encoding: chunked\r\n"


def get(target: bytes = b"/health/live", *, headers: bytes = HOST, version: bytes = b"HTTP/1.1") -> bytes:
    return b"GET %b %b\r\n%b\r\n" % (target, version, headers)


def post(headers: bytes, body: bytes = BODY, *, version: bytes = b"HTTP/1.1") -> bytes:
    return b"POST /checkouts %b\r\n%b\r\n%b" % (version, headers, body)


def sized(headers: bytes = b"", body: bytes = BODY) -> bytes:
    return post(JSON + headers + b"Content-Length: %d\r\n" % len(body), body)


LENGTH: Final = b"Content-Length: %d\r\n" % len(BODY)
CHUNK: Final = b"%x\r\n%b\r\n" % (len(BODY), BODY)

# What is sent, and what Granian's or our answer is; 0 is a connection that is closed without a word.
TABLE: Final[dict[str, tuple[bytes, int]]] = {
    # How long is the body? Whatever two readers could answer differently is refused: request smuggling.
    "a negative length": (post(JSON + b"Content-Length: -5\r\n"), 400),
    "a length with a plus": (post(JSON + b"Content-Length: +5\r\n"), 400),
    "a length that is hexadecimal": (post(JSON + b"Content-Length: 0x4a\r\n"), 400),
    "a length that is empty": (post(JSON + b"Content-Length: \r\n"), 400),
    "a length that is a list": (post(JSON + b"Content-Length: 5, 5\r\n"), 400),
    "a length beyond 64 bits": (post(JSON + b"Content-Length: 99999999999999999999999\r\n"), 400),
    "two lengths that differ": (post(JSON + LENGTH + b"Content-Length: 3\r\n"), 400),
    "two lengths that agree": (post(JSON + LENGTH + LENGTH), 201),
    "a length and chunks": (post(JSON + LENGTH + b"Transfer-Encoding: chunked\r\n", CHUNK + b"0\r\n\r\n"), 201),
    "chunks and a length": (post(CHUNKED + b"Content-Length: 5\r\n", CHUNK + b"0\r\n\r\n"), 201),
    "chunks in HTTP/1.0": (post(CHUNKED, CHUNK + b"0\r\n\r\n", version=b"HTTP/1.0"), 400),
    "chunks said twice": (post(CHUNKED + b"Transfer-Encoding: chunked\r\n", CHUNK + b"0\r\n\r\n"), 400),
    "a coding that is unknown": (post(JSON + b"Transfer-Encoding: gzip\r\n", b"0\r\n\r\n"), 400),
    "a coding nearly chunked": (post(JSON + b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"), 400),
    "chunked not last": (post(JSON + b"Transfer-Encoding: chunked, identity\r\n", b"0\r\n\r\n"), 400),
    "a coding behind a tab": (post(JSON + b"Transfer-Encoding:\x0bchunked\r\n", b"0\r\n\r\n"), 400),
    "a chunk size that is none": (post(CHUNKED, b"zz\r\n"), 400),
    "a chunk size that is negative": (post(CHUNKED, b"-1\r\n"), 400),
    "a chunk size beyond 64 bits": (post(CHUNKED, b"f" * 17 + b"\r\n"), 400),
    "a chunk longer than its size": (post(CHUNKED, b"2\r\nabcdef\r\n0\r\n\r\n"), 400),
    "a chunk without its end of line": (post(CHUNKED, b"2\r\nab0\r\n\r\n"), 400),
    "a chunk size with a bare LF": (post(CHUNKED, b"2\nab\n0\n\n"), 400),
    "whole chunks": (post(CHUNKED, CHUNK + b"0\r\n\r\n"), 201),
    "chunks with an extension": (post(CHUNKED, CHUNK.replace(b"\r\n", b";a=b\r\n", 1) + b"0\r\n\r\n"), 201),
    "chunks with a trailer": (post(CHUNKED, CHUNK + b"0\r\nIdempotency-Key: other\r\n\r\n"), 201),
    "chunks with 90 trailers": (post(CHUNKED, CHUNK + b"0\r\n" + b"X-T: a\r\n" * 90 + b"\r\n"), 201),
    "chunks with 10 000 trailers": (post(CHUNKED, CHUNK + b"0\r\n" + b"X-T: a\r\n" * 10_000 + b"\r\n"), 400),
    # Too much
    "a gigabyte announced": (post(JSON + b"Content-Length: 1073741824\r\n", b""), 413),
    "a gigabyte to be asked for": (post(JSON + b"Content-Length: 1073741824\r\nExpect: 100-continue\r\n", b""), 413),
    "a byte more than a body may have": (sized(body=b" " * 65_537), 413),
    "as much as a body may have": (sized(body=BODY + b" " * (65_536 - len(BODY))), 201),
    "a body in 900 chunks": (post(CHUNKED, b"1\r\n \r\n" * 900 + CHUNK + b"0\r\n\r\n"), 201),
    "a body in 2000 chunks": (post(CHUNKED, b"1\r\n \r\n" * 2000 + CHUNK + b"0\r\n\r\n"), 413),
    "a body in 40 000 chunks": (post(CHUNKED, b"1\r\n \r\n" * 40_000 + b"0\r\n\r\n"), 413),
    "too much in chunks": (post(CHUNKED, b"fffff\r\n" + b"x" * 0xFFFFF + b"\r\n0\r\n\r\n"), 413),
    "a chunk extension of 1 MB": (post(CHUNKED, b"5;" + b"a" * 1_000_000 + b"\r\nhello\r\n0\r\n\r\n"), 400),
    "a path of 9 KB": (get(b"/" + b"a" * 9_000), 414),
    "a path of 70 KB": (get(b"/" + b"a" * 70_000), 431),
    "a query of 9 KB": (get(b"/checkouts?a=" + b"a" * 9_000), 414),
    "a header of 17 KB": (get(headers=HOST + b"X-A: " + b"a" * 17_000 + b"\r\n"), 431),
    "a header of 1 MB": (get(headers=HOST + b"X-A: " + b"a" * 1_000_000 + b"\r\n"), 431),
    "a header name of 1 MB": (get(headers=HOST + b"X" * 1_000_000 + b": a\r\n"), 431),
    "101 headers": (get(headers=HOST + b"X-A: a\r\n" * 100), 431),
    "10 000 headers": (get(headers=HOST + b"X-A: a\r\n" * 10_000), 431),
    "a method of 1 MB": (b"G" * 1_000_000, 431),
    # Headers that could be read in two ways
    "a space before the colon": (get(headers=b"Host : x\r\n"), 400),
    "a folded header": (get(headers=HOST + b"X-A: b\r\n c\r\n"), 400),
    "a NUL in a header": (get(headers=HOST + b"X-A: b\0c\r\n"), 400),
    "a bare CR in a header": (get(headers=HOST + b"X-A: b\rc\r\n"), 400),
    "a bare LF in a header": (get(headers=HOST + b"X-A: b\nX-B: c\r\n"), 200),
    "bare LFs everywhere": (b"GET /health/live HTTP/1.1\nHost: x\n\n", 200),
    "a header without a name": (get(headers=HOST + b": a\r\n"), 400),
    "a header without a colon": (get(headers=HOST + b"nothing\r\n"), 400),
    "a header name beyond ASCII": (get(headers=HOST + b"X-\xff: a\r\n"), 400),
    "a header beyond ASCII": (get(headers=HOST + b"X-A: \xff\xfe\r\n"), 200),
    "no Host": (get(headers=b""), 400),
    "two Hosts": (get(headers=HOST + HOST), 400),
    "two idempotency keys": (sized(b"Idempotency-Key: a\r\nIdempotency-Key: b\r\n"), 400),
    "two content types": (sized(b"Content-Type: text/plain\r\n"), 400),
    "two authorizations": (get(headers=HOST + b"Authorization: a\r\nAuthorization: b\r\n"), 400),
    "two request ids": (get(headers=HOST + b"X-Request-Id: a\r\nX-Request-Id: b\r\n"), 400),
    "a line break smuggled into a request id": (get(headers=HOST + b"X-Request-Id: a%0d%0aSet-Cookie: b\r\n"), 200),
    # Lines that begin a request
    "a method that nobody knows": (get().replace(b"GET", b"FROB"), 405),
    "a method in small letters": (get().replace(b"GET", b"get"), 405),
    "a method of WebDAV": (get(b"/checkouts").replace(b"GET", b"PROPFIND"), 405),
    "a proxy's request": (b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n", 400),
    "an absolute target": (get(b"http://elsewhere/health/live"), 200),
    "a target that is a star": (get(b"*"), 400),
    "OPTIONS of a star": (get(b"*").replace(b"GET", b"OPTIONS"), 400),
    "a target without a slash": (get(b"health"), 400),
    "a target that is a query": (get(b"?x"), 400),
    "a target with a space": (get(b"/a b"), 400),
    "a target beyond ASCII": (get(b"/\xff\xfe"), 400),
    "a target with a NUL": (get(b"/a\0b"), 400),
    "a NUL in a path": (get(b"/checkouts/%00"), 404),
    "a NUL in a query": (get(b"/checkouts?merchantId=%00"), 400),
    "a broken escape in a query": (get(b"/checkouts?merchantId=%zz&%ff=%"), 400),
    "a query beyond ASCII": (get(b"/checkouts?merchantId=\xff"), 400),
    "two slashes": (get(b"//elsewhere/checkouts"), 404),
    "steps up": (get(b"/../../etc/passwd"), 404),
    "HTTP/1.0": (get(headers=b"", version=b"HTTP/1.0"), 200),
    "HTTP/0.9": (b"GET /health/live\r\n", 400),
    "HTTP/1.2": (get(version=b"HTTP/1.2"), 400),
    "HTTP/2.0": (get(version=b"HTTP/2.0"), 400),
    "HTTP/9.9": (get(version=b"HTTP/9.9"), 400),
    "another protocol's name": (get(version=b"HTCPCP/1.0"), 400),
    "HTTP/2's greeting": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), 400),
    "an answer": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 400),
    "a thousand empty lines first": (b"\r\n" * 1000 + get(), 200),
    # Wishes
    "a wish for a websocket": (get(headers=HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"), 200),
    "an offer of HTTP/2 with a body": (sized(b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"), 201),
    "a body that waits to be asked for": (sized(b"Expect: 100-continue\r\n"), 100),
    "an expectation that nobody knows": (sized(b"Expect: 200-maybe\r\n"), 201),
    "a body where none belongs": (get(headers=HOST + b"Content-Length: 5\r\n") + b"hello", 200),
    # What never ends: the deadlines
    "a request line without an end": (b"GET /health", 0),
    "headers without an end": (b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-A: ", 0),
    "a body shorter than its length": (post(JSON + b"Content-Length: 500\r\n"), 408),
    "chunks without an end": (post(CHUNKED, CHUNK), 408),
    "a chunk that is not whole": (post(CHUNKED, b"ff\r\nabc"), 408),
    "a chunk size that is not whole": (post(CHUNKED, b"000000"), 408),
    "empty lines and nothing more": (b"\r\n\r\n", 0),
    "nothing": (b"", 0),
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    yield from served(tmp_path_factory.mktemp("raw"))


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """A service whose deadlines are short. It is asked only for what reaches them: a slow machine would, otherwise."""
    short = {"PAIDONCE_HEADER_SECONDS": "0.3", "PAIDONCE_BODY_SECONDS": "0.3"}
    yield from served(tmp_path_factory.mktemp("impatient"), **short)


def served(folder: Path, **settings: str) -> Iterator[ServiceProcess]:
    """Run a service that must survive the tests."""
    settings |= {"DATABASE_URL": f"file:{folder}/paidonce.db", "PAIDONCE_LOG_LEVEL": "warning"}
    with processes(folder) as start:
        service = start("dev", **settings).wait_until_ready()
        yield service
        assert service.process.poll() is None
        assert [line for line in service.lines if '"level": "' in line] == [], "hostile requests fill no log"


def ask(service: ServiceProcess, raw: bytes) -> Answer:
    with connect(service.url) as wire:
        wire.send(raw)
        answer = wire.answer()
        if answer.headers.get("connection") == "close" or answer.status in (408, 413, 414, 431):
            assert wire.is_closed()
        return answer


def check(answer: Answer, status: int) -> None:
    """Hold an answer against what is expected: a problem of ours, or the server's own refusal, which closes."""
    assert answer.status == status, answer
    if status < 400:
        return
    if answer.headers.get("content-type") == "application/problem+json":
        assert answer.problem["status"] == status
        assert answer.problem["requestId"] == answer.headers["x-request-id"]
    else:
        assert status in (400, 431)
        assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("name", TABLE)
def test_a_raw_request_is_answered_cleanly_or_closed(
    service: ServiceProcess, impatient: ServiceProcess, name: str
) -> None:
    raw, status = TABLE[name]
    check(ask(impatient if status in (0, 408) else service, raw), status)


def test_a_trailer_is_no_header(service: ServiceProcess) -> None:
    body = BODY.replace(b'"idempotencyKey":"raw"', b'"idempotencyKey":"trailed"')
    sent = post(CHUNKED, b"%x\r\n%b\r\n0\r\nIdempotency-Key: other\r\nX-Request-Id: t\r\n\r\n" % (len(body), body))
    answer = ask(service, sent)
    assert (answer.status, answer.problem["idempotencyKey"]) == (201, "trailed")
    assert answer.headers["x-request-id"] != "t"


def test_what_came_whole_is_answered_before_what_follows_is_refused(service: ServiceProcess) -> None:
    with connect(service.url) as wire:
        wire.send(sized() + get() + b"nonsense\r\n\r\n" + get())
        assert [wire.answer().status for _ in range(3)] == [201, 200, 400]
        assert wire.is_closed()


def test_a_broken_body_behind_a_whole_request_is_refused_in_its_turn(service: ServiceProcess) -> None:
    with connect(service.url) as wire:
        wire.send(sized() + post(CHUNKED, b"zz\r\n"))
        assert [wire.answer().status for _ in range(2)] == [201, 400]
        assert wire.is_closed()


def test_a_body_that_is_too_short_is_not_filled_with_the_next_request(service: ServiceProcess) -> None:
    # Whoever could make them one request would put words into another client's mouth.
    with connect(service.url) as wire:
        wire.send(post(JSON + b"Content-Length: 5\r\n", b"hello") + get())
        assert [wire.answer().status for _ in range(2)] == [400, 200]


def test_pipelined_requests_are_answered_in_their_order(service: ServiceProcess) -> None:
    with connect(service.url) as wire:
        wire.send(b"".join(get(headers=HOST + b"X-Request-Id: %d\r\n" % number) for number in range(500)))
        assert [wire.answer().headers["x-request-id"] for _ in range(500)] == [str(number) for number in range(500)]


def test_an_offer_of_an_upgrade_leaves_the_next_request_in_its_place(service: ServiceProcess) -> None:
    with connect(service.url) as wire:
        wire.send(sized(b"Connection: keep-alive, Upgrade\r\nUpgrade: h2c\r\n") + get())
        assert [wire.answer().status for _ in range(2)] == [201, 200]


@pytest.mark.parametrize(("part", "status"), [("header", 0), ("body", 408)])
def test_what_drips_is_cut_off_at_the_deadline(impatient: ServiceProcess, part: str, status: int) -> None:
    with connect(impatient.url) as wire:
        wire.send(b"GET / HTTP/1.1\r\n" if part == "header" else post(JSON + b"Content-Length: 500\r\n", b""))
        wire.socket.settimeout(0.05)
        answer = None
        while answer is None:
            wire.send(b"X")
            try:
                answer = wire.answer()
            except TimeoutError:
                continue
    assert answer.status == status
    assert not answer.status or answer.problem["retryable"]


def test_a_connection_that_says_nothing_is_closed_whether_it_was_used_or_not(impatient: ServiceProcess) -> None:
    with connect(impatient.url) as used, connect(impatient.url) as silent:
        used.send(get())
        assert used.answer().status == 200
        assert silent.is_closed()
        assert used.is_closed()


def test_a_gigabyte_is_refused_early_and_takes_no_memory(service: ServiceProcess) -> None:
    def resident_kib() -> int:
        status = Path(f"/proc/{service.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0])

    def send_a_gigabyte(head: bytes) -> int:
        piece = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
        sent = 0
        with connect(service.url) as wire:
            wire.send(head)
            while sent < 2**30:
                try:
                    sent += wire.socket.send(piece)
                except (ConnectionError, TimeoutError):
                    break
        return sent

    before = resident_kib()
    heads = [post(CHUNKED, b""), post(JSON + b"Content-Length: 1073741824\r\n", b"")]
    with ThreadPoolExecutor(len(heads)) as at_once:
        assert all(sent < 2**30 for sent in at_once.map(send_a_gigabyte, heads)), "it read all of it"
    assert resident_kib() - before < 30_000


def test_the_service_is_as_before(service: ServiceProcess) -> None:
    answer = httpx.post(f"{service.url}/checkouts", content=BODY, headers={"Content-Type": "application/json"})
    assert answer.status_code == 201
    wait_until(lambda: httpx.get(f"{service.url}/health/ready").status_code == 200)
