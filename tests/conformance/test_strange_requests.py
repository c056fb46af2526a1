"""Requests that no document invites, as scanners and broken clients send them: a clear answer, and never a 500."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx
import pytest

from tests.support.databases import fresh_database
from tests.support.service_process import processes

STRANGE_IDS = ["%00", "chk_%00", "%ff", "a%5Cu0000", "%F0%9F%98%80", "%2e%2e", "null", "chk_" + "x" * 5000, "%20"]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("strange")
    with ExitStack() as stack:
        if request.param == "sqlite":
            url = f"file:{folder}/paidonce.db"
        else:
            url = stack.enter_context(fresh_database(request.getfixturevalue("postgres_server_url")))
        service = stack.enter_context(processes(folder))("dev", DATABASE_URL=url)
        yield stack.enter_context(httpx.Client(base_url=service.url))
        assert [line for line in service.lines if '"level": "error"' in line] == []


@pytest.mark.parametrize("strange", STRANGE_IDS)
@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("GET", "/timeline"), ("POST", "/pay"), ("POST", "/cancel")])
def test_what_cannot_be_an_id_is_not_found(client: httpx.Client, method: str, path: str, strange: str) -> None:
    answer = client.request(method, f"/checkouts/{strange}{path}")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] in ("checkout_not_found", "route_not_found")


def test_a_strange_id_spoils_no_other_request_of_its_batch(client: httpx.Client) -> None:
    body = {"merchantId": "m123", "amount": 1000, "currency": "USD", "idempotencyKey": "beside"}
    checkout_id = client.post("/checkouts", json=body).json()["id"]
    paths = [f"/checkouts/{checkout_id}/timeline", "/checkouts/%00/timeline"] * 10
    with ThreadPoolExecutor(len(paths)) as at_once:
        answers = list(at_once.map(client.get, paths))
    assert [answer.status_code for answer in answers] == [200, 404] * 10


FIELDS = '"merchantId":"m","amount":1000,"currency":"USD","idempotencyKey":"json"'

DEEP = '{"a":' * 9000 + "1" + "}" * 9000

# Bodies that are no JSON, or that two readers would take for different things.
NO_JSON: dict[str, str | bytes] = {
    "arrays without an end": "[" * 60_000,
    "arrays in arrays": "[" * 30_000 + "]" * 30_000,
    "arrays in the metadata": f'{{{FIELDS},"metadata":{"[" * 30_000}{"]" * 30_000}}}',
    "objects in the metadata": f'{{{FIELDS},"metadata":{DEEP}}}',
    "arrays in an unknown field": f'{{{FIELDS},"x":{"[" * 30_000}{"]" * 30_000}}}',
    "a number of 60 000 digits": f"{{{FIELDS.replace('1000', '9' * 60_000)}}}",
    "such a number in an unknown field": f'{{{FIELDS},"x":{"9" * 60_000}}}',
    "a number beyond floats": f"{{{FIELDS.replace('1000', '1e400')}}}",
    "an exponent beyond reason": f"{{{FIELDS.replace('1000', '1e999999999')}}}",
    "a leading zero": f"{{{FIELDS.replace('1000', '01000')}}}",
    "NaN": f"{{{FIELDS.replace('1000', 'NaN')}}}",
    "Infinity": f'{{{FIELDS},"x":-Infinity}}',
    "a name twice": f'{{{FIELDS},"amount":1}}',
    "a name twice, once in disguise": f'{{{FIELDS},"amo\\u0075nt":1}}',
    "a name twice in the metadata": f'{{{FIELDS},"metadata":{{"a":"1","a":"2"}}}}',
    "an unknown name twice": f'{{{FIELDS},"x":1,"x":2}}',
    "half a surrogate pair": f'{{{FIELDS},"description":"\\ud800"}}',
    "the other half": f'{{{FIELDS},"metadata":{{"a":"\\udc00"}}}}',
    "half a pair in a name": f'{{{FIELDS},"metadata":{{"\\ud800":"a"}}}}',
    "a byte order mark": b"\xef\xbb\xbf" + f"{{{FIELDS}}}".encode(),
    "UTF-16": f"{{{FIELDS}}}".encode("utf-16"),
    "UTF-32": f"{{{FIELDS}}}".encode("utf-32"),
    "bytes that are no UTF-8": f'{{{FIELDS},"description":"?"}}'.encode().replace(b"?", b"\xff\xfe"),
    "an overlong slash": f'{{{FIELDS},"description":"?"}}'.encode().replace(b"?", b"\xc0\xaf"),
    "a surrogate in UTF-8": f'{{{FIELDS},"description":"?"}}'.encode().replace(b"?", b"\xed\xa0\x80"),
    "a NUL between": f"{{\0{FIELDS}}}",
    "a line break in a text": f'{{{FIELDS},"description":"a\nb"}}',
    "something behind": f"{{{FIELDS}}} x",
    "two bodies": f"{{{FIELDS}}}{{{FIELDS}}}",
    "a comment": f"{{{FIELDS}/* x */}}",
    "a comma too many": f"{{{FIELDS},}}",
    "other quotes": f"{{{FIELDS}}}".replace('"', "'"),
    "half a body": f"{{{FIELDS}",
    "spaces": "   ",
}


@pytest.mark.parametrize("name", NO_JSON)
def test_what_is_no_json_is_refused(client: httpx.Client, name: str) -> None:
    sent = NO_JSON[name]
    answer = client.post("/checkouts", content=sent, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_body")
    assert len(answer.content) < 1000


NUL = "a\0b"


@pytest.mark.parametrize(
    "field",
    [
        {"merchantId": NUL},
        {"idempotencyKey": NUL},
        {"currency": "US\0"},
        {"description": NUL},
        {"metadata": {NUL: "a"}},
        {"metadata": {"a": NUL}},
        {"successUrl": f"https://shop/{NUL}"},
        {"cancelUrl": f"https://shop/{NUL}"},
        {"captureMethod": NUL},
        {NUL: NUL},
    ],
    ids=str,
)
def test_a_nul_is_refused_in_every_text(client: httpx.Client, field: dict[str, object]) -> None:
    body = {"merchantId": "m", "amount": 1000, "currency": "USD", "idempotencyKey": "nul", **field}
    answer = client.post("/checkouts", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


def test_a_nul_is_refused_in_every_text_of_the_other_calls(client: httpx.Client) -> None:
    body = {"merchantId": "m", "amount": 1000, "currency": "USD", "idempotencyKey": "nuls"}
    checkout = f"/checkouts/{client.post('/checkouts', json=body).json()['id']}"
    answers = [
        client.post(f"{checkout}/pay", json={"paymentMethod": NUL}),
        client.post(f"{checkout}/pay", json={"provider": NUL}),
        client.post(f"{checkout}/refunds", json={"reason": NUL}),
        client.get("/checkouts", params={"merchantId": NUL}),
        client.get("/checkouts", params={"startingAfter": NUL}),
        client.get("/checkouts", params={"createdAfter": NUL}),
    ]
    assert [answer.status_code for answer in answers] == [400] * 6


@pytest.mark.parametrize("inside", ["{}", '"metadata":{{{}}}'])
def test_a_body_full_of_mistakes_is_not_answered_with_more_than_it_had(client: httpx.Client, inside: str) -> None:
    sent = f"{{{inside.format(','.join(f'{chr(34)}k{number}{chr(34)}:1' for number in range(6000)))}}}"
    answer = client.post("/checkouts", content=sent, headers={"Content-Type": "application/json"})
    assert (answer.status_code, len(answer.json()["errors"])) == (400, 100)
    assert len(answer.content) < len(sent)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE"])
def test_a_wrong_method_is_told_the_right_ones(client: httpx.Client, method: str) -> None:
    answer = client.request(method, "/checkouts")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS, POST"


def test_options_names_every_method_of_the_path(client: httpx.Client) -> None:
    assert client.options("/checkouts").headers["allow"] == "GET, HEAD, OPTIONS, POST"


@pytest.mark.parametrize("name", ["X-Request-Id", "Idempotency-Key", "Prefer", "Content-Type", "Accept"])
@pytest.mark.parametrize("value", [b"\xff\xfe", b'"', b"x\ty", b"x" * 9000, b"a,b;c=d"])
def test_a_strange_header_is_never_a_fault_of_ours(client: httpx.Client, name: str, value: bytes) -> None:
    body = b'{"merchantId":"m123","amount":1000,"currency":"USD","idempotencyKey":"headers"}'
    headers = {b"content-type": b"application/json"} | {name.lower().encode(): value}
    answer = client.post("/checkouts", content=body, headers=headers)
    assert answer.status_code in (201, 400, 415, 431)
