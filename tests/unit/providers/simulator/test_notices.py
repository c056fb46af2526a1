"""Reading the provider's webhooks: the signature must be valid, and the content must be consistent."""

import msgspec
import pytest

from paidonce.clock import system_clock
from paidonce.providers.evidence import Authorized, Declined, Evidence, Notice, Succeeded
from paidonce.providers.simulator.notices import NoticeReader
from tests.support.provider_process import SECRET, signed

OPERATION = {"key": "att_1", "kind": "charge", "reference": "ch_1", "outcome": "succeeded", "amount": 1000}


def read(event_type: str, **operation: object) -> Notice | None:
    webhook = {"type": event_type, "timestamp": "2026-01-02T03:04:05.678Z", "data": {**OPERATION, **operation}}
    body = msgspec.json.encode(webhook)
    return NoticeReader(SECRET, clock=system_clock).read(signed(body, message_id="msg_1"), body)


@pytest.mark.parametrize(
    ("event_type", "operation", "evidence"),
    [
        ("charge.succeeded", {"currency": "USD"}, Succeeded("ch_1", 1000, "USD", "charge")),
        ("charge.authorized", {"outcome": "authorized"}, Authorized("ch_1", 1000, kind="charge")),
        (
            "charge.declined",
            {"outcome": "declined", "declineCode": "expired_card"},
            Declined("expired_card", "ch_1", "charge"),
        ),
        ("refund.succeeded", {"kind": "refund"}, Succeeded("ch_1", 1000, kind="refund")),
        ("capture.declined", {"kind": "capture", "outcome": "declined"}, Declined("declined", "ch_1", "capture")),
    ],
)
def test_a_webhook_tells_what_took_place_and_of_which_kind_it_was(
    event_type: str, operation: dict[str, object], evidence: Evidence
) -> None:
    assert read(event_type, **operation) == Notice("msg_1", "att_1", evidence)


@pytest.mark.parametrize(
    ("event_type", "operation"),
    [
        ("refund.succeeded", {}),
        ("charge.succeeded", {"kind": "refund"}),
        ("charge.declined", {}),
        ("charge.succeeded", {"outcome": "declined", "declineCode": "expired_card"}),
    ],
)
def test_a_webhook_whose_type_contradicts_what_it_tells_proves_nothing(
    event_type: str, operation: dict[str, object]
) -> None:
    assert read(event_type, **operation) == Notice("msg_1", "att_1", None)
