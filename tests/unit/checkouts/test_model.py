"""The table of a checkout's states, and when two requests are the same."""

import msgspec
import pytest

from paidonce.checkouts.model import (
    ALLOWED,
    ATTEMPTS_MAX,
    EVENT_OF,
    EXPIRES_IN_SECONDS_DEFAULT,
    EXPIRES_IN_SECONDS_MAX,
    EXPIRES_IN_SECONDS_MIN,
    PAYABLE,
    Checkout,
    CheckoutStatus,
    CheckoutTransition,
    NewCheckout,
    differing_fields,
)
from paidonce.events.model import Cause

CREATED_AT = 1_767_323_045_678

REQUEST = NewCheckout(
    id="chk_1",
    merchant_id="m123",
    idempotency_key="abc123",
    amount=1000,
    currency="USD",
    expires_in_seconds=3600,
    description="A book",
    metadata='{"a":"b"}',
    success_url="https://host/yes",
    cancel_url="https://host/no",
)
STORED = Checkout(
    id="chk_0",
    merchant_id="m123",
    mode="test",
    idempotency_key="abc123",
    amount=1000,
    currency="USD",
    status=CheckoutStatus.COMPLETED,
    capture_method="automatic",
    amount_captured=1000,
    amount_refunded=0,
    amount_refund_pending=0,
    amount_disputed=0,
    attempt_count=1,
    description="A book",
    metadata='{"a":"b"}',
    success_url="https://host/yes",
    cancel_url="https://host/no",
    created_at=CREATED_AT,
    updated_at=CREATED_AT + 5000,
    expires_at=CREATED_AT + 3_600_000,
)


def move(source: CheckoutStatus, target: CheckoutStatus) -> CheckoutTransition:
    return CheckoutTransition(
        checkout_id="chk_1",
        merchant_id="m123",
        mode="test",
        source=source,
        target=target,
        seen_attempt_id=None,
        cause=Cause.REQUEST,
    )


@pytest.mark.parametrize("source", CheckoutStatus)
@pytest.mark.parametrize("target", CheckoutStatus)
def test_a_transition_outside_the_table_cannot_be_requested(source: CheckoutStatus, target: CheckoutStatus) -> None:
    if target in ALLOWED[source]:
        assert move(source, target).target is target
    else:
        with pytest.raises(AssertionError, match=f"no transition from {source} to {target}"):
            move(source, target)


def test_a_void_starts_without_a_transition_and_nothing_else_stays_where_it_is() -> None:
    authorized = CheckoutStatus.AUTHORIZED
    staying = msgspec.structs.asdict(move(authorized, CheckoutStatus.CANCELED)) | {"target": authorized}
    assert CheckoutTransition(**staying | {"starts": True}).target is authorized
    with pytest.raises(AssertionError, match="no transition"):
        CheckoutTransition(**staying)
    with pytest.raises(AssertionError, match="no transition from PENDING to PENDING"):
        CheckoutTransition(**staying | dict.fromkeys(("source", "target"), CheckoutStatus.PENDING) | {"starts": True})
    with pytest.raises(AssertionError, match="no transition from AUTHORIZED to COMPLETED"):
        CheckoutTransition(**staying | {"starts": True, "target": CheckoutStatus.COMPLETED})


def test_by_default_a_transition_starts_no_attempt_counts_no_try_and_captures_nothing() -> None:
    plain = move(CheckoutStatus.PENDING, CheckoutStatus.CANCELED)
    assert (plain.starts, plain.counts, plain.captured, plain.attempt_id, plain.detail) == (False, False, 0, None, None)


def test_the_limits_are_those_of_the_contract() -> None:
    assert ATTEMPTS_MAX == 5
    assert (EXPIRES_IN_SECONDS_MIN, EXPIRES_IN_SECONDS_DEFAULT, EXPIRES_IN_SECONDS_MAX) == (300, 86_400, 2_592_000)


@pytest.mark.parametrize(
    ("captured", "refunded", "pending", "refundable"),
    [(0, 0, 0, 0), (1000, 0, 0, 1000), (1000, 300, 0, 700), (1000, 300, 200, 500), (1000, 1000, 0, 0)],
)
def test_what_can_be_refunded_is_what_was_taken_less_what_is_or_may_be_back(
    captured: int, refunded: int, pending: int, refundable: int
) -> None:
    checkout = msgspec.structs.replace(
        STORED, amount_captured=captured, amount_refunded=refunded, amount_refund_pending=pending
    )
    assert checkout.refundable == refundable


def test_the_table_has_every_status() -> None:
    assert set(ALLOWED) == set(CheckoutStatus)


@pytest.mark.parametrize("status", [CheckoutStatus.COMPLETED, CheckoutStatus.CANCELED, CheckoutStatus.EXPIRED])
def test_nothing_leaves_an_end(status: CheckoutStatus) -> None:
    assert ALLOWED[status] == set()


def test_only_processing_leads_to_where_money_has_moved() -> None:
    moved = {CheckoutStatus.COMPLETED, CheckoutStatus.AUTHORIZED, CheckoutStatus.FAILED}
    assert {source for source, targets in ALLOWED.items() if targets & moved} == {CheckoutStatus.PROCESSING}


def test_while_money_may_be_moving_nothing_is_canceled_and_nothing_expires() -> None:
    assert ALLOWED[CheckoutStatus.PROCESSING] & {CheckoutStatus.CANCELED, CheckoutStatus.EXPIRED} == set()


def test_what_can_be_paid_can_also_be_canceled_and_expire() -> None:
    wanted = {CheckoutStatus.PROCESSING, CheckoutStatus.CANCELED, CheckoutStatus.EXPIRED}
    assert [status for status in PAYABLE if not wanted <= ALLOWED[status]] == []


def test_every_status_that_can_be_entered_has_an_event_of_its_own() -> None:
    entered = set().union(*ALLOWED.values())
    assert set(EVENT_OF) == entered
    assert len(set(EVENT_OF.values())) == len(EVENT_OF)


def test_the_same_body_differs_in_nothing_whatever_became_of_the_checkout() -> None:
    assert differing_fields(STORED, REQUEST) == []


@pytest.mark.parametrize(
    ("field", "value", "name"),
    [
        ("amount", 1001, "amount"),
        ("currency", "EUR", "currency"),
        ("capture_method", "manual", "captureMethod"),
        ("expires_in_seconds", 3601, "expiresIn"),
        ("description", None, "description"),
        ("metadata", '{"a":"c"}', "metadata"),
        ("success_url", None, "successUrl"),
        ("cancel_url", "https://host/never", "cancelUrl"),
    ],
)
def test_a_different_body_is_reported_by_the_field_that_differs(field: str, value: object, name: str) -> None:
    assert differing_fields(STORED, msgspec.structs.replace(REQUEST, **{field: value})) == [name]


def test_every_field_that_differs_is_reported() -> None:
    other = msgspec.structs.replace(REQUEST, amount=1, currency="EUR", description="A car")
    assert differing_fields(STORED, other) == ["amount", "currency", "description"]
