"""What holds for every path and every answer: one spelling, protecting headers, HEAD, and the methods that are told."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from paidonce import __version__
from tests.support.authenticated_service import AuthenticatedService, authenticated_service
from tests.support.raw_http import Answer, connect


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuthenticatedService]:
    with authenticated_service(tmp_path_factory.mktemp("front")) as keys:
        yield keys


@pytest.fixture(scope="module")
def document(keys: AuthenticatedService) -> dict[str, Any]:
    told: dict[str, Any] = httpx.get(f"{keys.url}/openapi.json").json()
    return told


def ask(keys: AuthenticatedService, target: str, method: str = "GET", *, key: str = "", headers: str = "") -> Answer:
    """Send a target as it is: a client library would put it right."""
    authorization = f"Authorization: Bearer {key}\r\n" if key else ""
    with connect(keys.url) as wire:
        wire.send(f"{method} {target} HTTP/1.1\r\nHost: localhost\r\n{authorization}{headers}\r\n".encode())
        return wire.answer(to_head=method == "HEAD")


# One spelling of each path

OTHER_SPELLINGS = [
    "//keys",
    "/keys/",
    "/keys//",
    "/./keys",
    "/keys/.",
    "/x/../keys",
    "/keys/key_1/..",
    "/%2e/keys",
    "/%2Fkeys",
    "/%2fkeys",
    "/keys%2F",
    "/keys%2f",
    "/%6beys",
    "/%6Beys",
    "/k%65ys",
    "/keys%00",
    "/keys%0A",
    "/keys%20",
    "/keys;",
    "/keys%3Fa=b",
    "/Keys",
    "http://localhost//keys",
    "http://localhost/keys/",
    "/%2F",
    "/docs/",
    "//docs",
    "/%64ocs",
    "/openapi.json/",
    "/openapi%2Ejson",
    "//openapi.json",
    "/health%2Flive",
    "/health//live",
    "/events%2Fstream",
]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
@pytest.mark.parametrize("target", OTHER_SPELLINGS)
def test_another_spelling_of_a_path_is_not_found(keys: AuthenticatedService, target: str, method: str) -> None:
    assert ask(keys, target, method, key=keys.admin).status == 404


@pytest.mark.parametrize("target", ["/keys", "/keys?limit=1", "http://localhost/keys", "/docs", "/openapi.json"])
def test_the_one_spelling_is_found(keys: AuthenticatedService, target: str) -> None:
    assert ask(keys, target, key=keys.admin).status == 200


@pytest.mark.parametrize("action", ["pay", "cancel"])
def test_an_escaped_slash_leads_to_no_call_of_a_checkout(keys: AuthenticatedService, action: str) -> None:
    with keys.client(keys.merchant) as http:
        body = {"amount": 1000, "currency": "USD", "idempotencyKey": f"slash {action}"}
        path = f"/checkouts/{http.post('/checkouts', json=body).json()['id']}"
        for target in (f"{path}%2F{action}", f"{path}/{action}/", f"{path}//{action}", f"{path}/%{ord(action[0]):X}"):
            assert ask(keys, target, "POST", key=keys.merchant).status == 404
        assert http.get(path).json()["status"] == "PENDING"


@pytest.mark.parametrize("key", ["a/b", "/", "a//b/", "a b", 'say "100 %"', "%2F", "a;b?c#d", "order:1@shop", "~tilde"])
def test_an_idempotency_key_with_any_character_has_a_path(keys: AuthenticatedService, key: str) -> None:
    with keys.client(keys.merchant) as http:
        made = http.post("/checkouts", json={"amount": 1000, "currency": "USD", "idempotencyKey": key})
        assert made.status_code == 201
    told = ask(keys, f"/idempotency-keys/{quote(key, safe='')}", key=keys.merchant)
    assert (told.status, told.problem["key"]) == (200, key)


@pytest.mark.parametrize("spelling", ["spelt/here%3F", "spelt%2fhere%3F", "spelt%2F%68ere%3F", "spelt%2Fhere%3f", "/x"])
def test_an_idempotency_key_is_escaped_where_it_must_be_and_only_there(
    keys: AuthenticatedService, spelling: str
) -> None:
    with keys.client(keys.merchant) as http:
        http.post("/checkouts", json={"amount": 1000, "currency": "USD", "idempotencyKey": "spelt/here?"})
    assert ask(keys, "/idempotency-keys/spelt%2Fhere%3F", key=keys.merchant).status == 200
    answer = ask(keys, f"/idempotency-keys/{spelling}", key=keys.merchant)
    assert (answer.status, answer.problem["code"]) == (404, "route_not_found")


# Headers that protect

ANY_ANSWER = {
    "200": ("/checkouts", "GET", ""),
    "200 of the service": ("/health/live", "GET", ""),
    "200 of the document": ("/openapi.json", "GET", ""),
    "200 of the page": ("/docs", "GET", ""),
    "200 to HEAD": ("/checkouts", "HEAD", ""),
    "200 of a stream": ("/events/stream", "HEAD", ""),
    "204": ("/checkouts", "OPTIONS", ""),
    "400 of a parameter": ("/checkouts?limit=0", "GET", ""),
    "405 of a method that nobody knows": ("/checkouts", "nonsense", ""),
    "403": ("/keys", "GET", ""),
    "404": ("/nowhere", "GET", ""),
    "405": ("/checkouts", "PUT", ""),
    "413": ("/checkouts", "POST", "Content-Length: 70000\r\n"),
    "414": ("/" + "a" * 9000, "GET", ""),
    "415": ("/checkouts", "POST", "Content-Type: text/plain\r\nContent-Length: 1\r\n\r\nx"),
}


@pytest.mark.parametrize("name", ANY_ANSWER)
def test_every_answer_is_kept_by_no_cache_shown_in_no_frame_and_taken_for_nothing_else(
    keys: AuthenticatedService, name: str
) -> None:
    target, method, headers = ANY_ANSWER[name]
    answer = ask(keys, target, method, key=keys.merchant, headers=headers)
    assert answer.status == int(name[:3])
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    policy = answer.headers["content-security-policy"].split("; ")
    assert {"default-src 'none'", "frame-ancestors 'none'"} <= set(policy)


def test_an_answer_without_a_key_and_one_that_shows_a_secret_are_protected_too(keys: AuthenticatedService) -> None:
    with keys.client(keys.admin) as http:
        shown = http.post("/keys", json={"merchantId": "m123"})
    refused = httpx.get(f"{keys.url}/checkouts")
    assert (shown.status_code, refused.status_code) == (201, 401)
    assert {one.headers["cache-control"] for one in (shown, refused)} == {"no-store"}
    assert {one.headers["x-content-type-options"] for one in (shown, refused)} == {"nosniff"}


def test_the_page_of_documents_may_use_its_own_style_and_nothing_else(keys: AuthenticatedService) -> None:
    policy = httpx.get(f"{keys.url}/docs").headers["content-security-policy"]
    assert "unsafe" not in policy
    for rule in policy.split("; "):
        name, _, sources = rule.partition(" ")
        assert sources == "'none'" or (name == "style-src" and sources.startswith("'sha256-")), rule


# HEAD, and the methods of a path


def test_head_is_answered_as_get_without_its_body(keys: AuthenticatedService, document: dict[str, Any]) -> None:
    named = {"{provider}": "simulator", "{key}": "nobody's"}
    paths = [path for path, item in document["paths"].items() if "get" in item]
    assert len(paths) > 10
    for path in paths:
        target = "/".join(named.get(part, "none" if part.startswith("{") else part) for part in path.split("/"))
        if target == "/events/stream":
            continue  # The next test's: its GET has no end.
        got, headed = (ask(keys, target, method, key=keys.merchant) for method in ("GET", "HEAD"))
        changing = ("date", "x-request-id", "ratelimit")
        without = [{name: one.headers[name] for name in one.headers if name not in changing} for one in (got, headed)]
        assert headed.status == got.status, target
        length = int(headed.headers["content-length"])
        assert abs(length - len(got.body)) <= len("key_0"), target  # A problem tells its request's id.
        without[0].pop("content-length"), without[1].pop("content-length")
        assert without[0] == without[1], target


def test_head_of_a_stream_ends_and_leaves_the_connection_to_the_next_request(keys: AuthenticatedService) -> None:
    head = f"Host: localhost\r\nAuthorization: Bearer {keys.merchant}\r\n\r\n"
    with connect(keys.url) as wire:
        wire.send(f"HEAD /events/stream HTTP/1.1\r\n{head}HEAD /docs HTTP/1.1\r\n{head}".encode())
        stream, page = wire.answer(to_head=True), wire.answer(to_head=True)
        wire.send(f"GET /health/live HTTP/1.1\r\n{head}".encode())
        live = wire.answer()
    assert (stream.status, stream.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert (page.status, live.status) == (200, 200)
    assert int(page.headers["content-length"]) > 10_000


def test_every_path_tells_exactly_the_methods_that_it_has(keys: AuthenticatedService, document: dict[str, Any]) -> None:
    for path, item in document["paths"].items():
        methods = {verb.upper() for verb in item} | {"OPTIONS"} | ({"HEAD"} if "get" in item else set())
        target = path.replace("{", "").replace("}", "")
        told = [ask(keys, target, method) for method in ("OPTIONS", "TRACE")]
        assert [one.status for one in told] == [204, 405], path
        assert [one.headers["allow"] for one in told] == [", ".join(sorted(methods))] * 2, path


def test_head_is_refused_where_get_is(keys: AuthenticatedService) -> None:
    answer = ask(keys, "/checkouts/some/pay", "HEAD")
    assert (answer.status, answer.headers["allow"]) == (405, "OPTIONS, POST")


# Health


def test_only_an_operator_is_told_more_of_the_service_than_the_verdict(keys: AuthenticatedService) -> None:
    verdicts = [ask(keys, f"/health/{what}", key=key) for what in ("live", "ready") for key in ("", keys.merchant)]
    assert [json.loads(one.body) for one in verdicts] == [{"status": "live"}] * 2 + [{"status": "ready"}] * 2
    told = json.loads(ask(keys, "/health/ready", key=keys.admin).body)
    assert (told["status"], told["version"]) == ("ready", __version__)
    assert "paidonce.db" in told["database"]
    assert told["schema"]


def test_a_key_that_opens_nothing_is_refused_by_the_health_check_too(keys: AuthenticatedService) -> None:
    assert ask(keys, "/health/ready", key="sk_test_nothing").status == 401
