"""Sessions over HTTP with a provider that sends odd responses: only a valid response about our session is proof."""

from functools import partial

import msgspec
import pytest

from paidonce.clock import parse_instant
from paidonce.money import Money
from paidonce.providers.base import ChargeRequest
from paidonce.providers.evidence import (
    Authorized,
    Declined,
    Evidence,
    NotDone,
    NotFound,
    Opened,
    Redirect,
    RequiresAction,
    Succeeded,
    Unknown,
)
from paidonce.providers.simulator.connector import SimulatorConnector
from tests.unit.providers.simulator.test_connector import answer, connected

EXPIRES_AT = "2026-01-02T03:04:05.678Z"
OPERATION = {"key": "att_1", "kind": "charge", "reference": "ch_1", "outcome": "succeeded", "amount": 1000}
SESSION = {
    "key": "att_1",
    "reference": "ses_1",
    "status": "open",
    "url": "https://pay.example/ses_1",
    "expiresAt": EXPIRES_AT,
}
REQUEST = ChargeRequest(
    key="att_1",
    money=Money(1000, "USD"),
    payment_method="hosted",
    capture=True,
    checkout_id="chk_1",
    merchant_id="m1",
    created_at=0,
    return_url="https://service.example/return/1",
    expires_at=1,
)
OPENED = msgspec.structs.replace(REQUEST, session_reference="ses_1")


async def every_call(connector: SimulatorConnector) -> list[Evidence]:
    calls = [
        partial(connector.open, REQUEST),
        partial(connector.charge, OPENED),
        partial(connector.close, OPENED),
        partial(connector.look_up, OPENED),
    ]
    return [await call() for call in calls]


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ({}, RequiresAction("ses_1", Redirect("https://pay.example/ses_1", parse_instant(EXPIRES_AT)))),
        ({"status": "approved"}, Opened("ses_1")),
        ({"status": "closed"}, Declined("session_closed")),
        ({"status": "expired"}, Declined("session_expired")),
        ({"status": "charged", "operation": OPERATION}, Succeeded("ch_1", 1000, kind="charge")),
        (
            {"status": "charged", "operation": {**OPERATION, "outcome": "authorized"}},
            Authorized("ch_1", 1000, kind="charge"),
        ),
        (
            {"status": "charged", "operation": {**OPERATION, "outcome": "declined", "declineCode": "buyer_declined"}},
            Declined("buyer_declined", "ch_1", "charge"),
        ),
    ],
)
async def test_a_session_that_is_read_whole_is_proof(reply: dict[str, object], expected: Evidence) -> None:
    async with connected(answer("200 OK", {**SESSION, **reply})) as connector:
        assert await every_call(connector) == [expected] * 4


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(answer("200 OK", {**SESSION, "key": "att_2"}), id="about another key"),
        pytest.param(answer("200 OK", {**SESSION, "status": "maybe"}), id="a status that nobody knows"),
        pytest.param(answer("200 OK", {**SESSION, "status": "charged"}), id="charged without a charge"),
        pytest.param(
            answer("200 OK", {**SESSION, "status": "charged", "operation": {**OPERATION, "key": "att_2"}}),
            id="charged for another key",
        ),
        pytest.param(answer("200 OK", {**SESSION, "expiresAt": "soon"}), id="a time that is none"),
        pytest.param(answer("200 OK", OPERATION), id="no session"),
        pytest.param(answer("200 OK", b"<html>"), id="no JSON"),
        pytest.param(answer("201 Created", SESSION), id="a status that was not agreed"),
        pytest.param(answer("500 Oops", SESSION), id="500 with a session"),
    ],
)
async def test_whatever_else_comes_proves_nothing_about_a_session(raw: bytes) -> None:
    async with connected(raw) as connector:
        assert {type(one) for one in await every_call(connector)} == {Unknown}


async def test_another_session_of_the_key_proves_nothing_about_this_one() -> None:
    async with connected(answer("200 OK", {**SESSION, "reference": "ses_2", "status": "closed"})) as connector:
        opened, *others = await every_call(connector)
    assert opened == Declined("session_closed")
    assert {type(one) for one in others} == {Unknown}


async def test_a_session_that_is_not_found_is_told_to_a_look_up_only() -> None:
    async with connected(answer("404 Not Found", {})) as connector:
        assert [type(one) for one in await every_call(connector)] == [*[Unknown] * 3, NotFound]


async def test_a_call_for_a_session_that_is_refused_had_no_effect() -> None:
    async with connected(answer("400 Bad", {})) as connector:
        assert await every_call(connector) == [NotDone("the provider refused the call")] * 4
