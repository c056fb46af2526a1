"""Mollie's reasons for a failed payment, and our decline codes."""

import json
from typing import Any

import pytest

from paidonce.providers.decline_codes import DECLINE_CODES
from paidonce.providers.evidence import Declined
from tests.support.doubles import charge_request
from tests.support.mollie import PAYMENT, connected
from tests.support.raw_server import Part, answer, raw_server


async def declined(about: dict[str, Any]) -> Declined:
    async with (
        raw_server(Part(answer(json.dumps(PAYMENT | about).encode()))) as server,
        connected(server.url) as mollie,
    ):
        found = await mollie.look_up(charge_request("att_1", session_reference="tr_1234"))
    assert isinstance(found, Declined)
    assert found.code in DECLINE_CODES
    return found


@pytest.mark.parametrize(
    ("raw_code", "code"),
    [
        ("insufficient_funds", "insufficient_funds"),
        ("refused_by_issuer", "do_not_honor"),
        ("card_expired", "expired_card"),
        ("invalid_cvv", "incorrect_details"),
        ("authentication_abandoned", "authentication_failed"),
        ("possible_fraud", "suspected_fraud"),
        ("invalid_card_type", "card_not_supported"),
        ("card_declined", "declined"),
        ("a_code_of_next_year", "declined"),
    ],
)
async def test_a_failed_payment_has_our_code_and_mollies(raw_code: str, code: str) -> None:
    for reason in ({"details": {"failureReason": raw_code}}, {"statusReason": {"code": raw_code}}):
        found = await declined({"status": "failed", **reason})
        assert (found.code, found.raw_code, found.kind) == (code, raw_code, "charge")


@pytest.mark.parametrize(
    ("status", "code"), [("failed", "declined"), ("canceled", "buyer_canceled"), ("expired", "session_expired")]
)
async def test_a_payment_without_a_reason_is_declined_with_its_status(status: str, code: str) -> None:
    found = await declined({"status": status})
    assert (found.code, found.raw_code) == (code, status)
