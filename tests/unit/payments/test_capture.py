"""Held money: what may be captured, when it is let go, and that of two that race one is carried out."""

import re
from collections.abc import Callable
from typing import TypeAlias

import pytest
from structlog.testing import capture_logs

from paidonce.checkouts.actions import CancelCheckout, cancel_checkouts
from paidonce.errors import (
    AmountExceedsCapturable,
    CheckoutExpired,
    CheckoutNotFound,
    InvalidState,
    PaymentInProgress,
)
from paidonce.events.model import Origin
from paidonce.ids import ATTEMPT, new_id, pattern
from paidonce.merchants.model import TenantScopedId
from paidonce.payments.capture import (
    StartCancel,
    StartCapture,
    VoidExpired,
    start_cancels,
    start_captures,
    void_expired,
)
from paidonce.payments.model import as_latest
from paidonce.payments.pay import Repeated, Started, start_payments
from paidonce.providers.evidence import Authorized, Declined, Evidence, Succeeded, Unknown
from tests.support.payments import DAY_MS, LEASE_MS, NOW, AnyValue, Payments, StartAction, payment, told

Wish: TypeAlias = Callable[..., StartCapture | StartCancel]

EXPIRY_MS = DAY_MS  # A checkout's time, unless it says otherwise.


def capturing(
    checkout: TenantScopedId, attempt_id: str = "att_2", amount: int | None = None, **said: AnyValue
) -> StartCapture:
    return StartCapture(attempt_id=attempt_id, checkout=checkout, amount=amount, **said)


def canceling(checkout: TenantScopedId, attempt_id: str = "att_2", **said: AnyValue) -> StartCancel:
    return StartCancel(attempt_id=attempt_id, checkout=checkout, **said)


@pytest.fixture
def held(payments: Payments) -> TenantScopedId:
    """A checkout of 10.00 whose money is held."""
    return payments.paid(manual=True, reference="ch_7")


@pytest.mark.parametrize(("amount", "captured"), [(None, 1000), (1, 1), (600, 600), (1000, 1000)])
def test_held_money_is_captured_in_part_or_whole(
    payments: Payments, held: TenantScopedId, amount: int | None, captured: int
) -> None:
    payments.now += 7
    started = payments.capture(held, amount=amount)
    assert isinstance(started, Started)
    assert started.attempt == payments.attempt("att_2")
    assert (started.attempt.kind, started.attempt.amount, started.attempt.charge_reference) == (
        ("CAPTURE", captured, "ch_7")
    )
    assert started.checkout == payments.checkout(held)
    assert (started.checkout.status, started.checkout.attempt_count) == ("PROCESSING", 1)
    payments.prove("att_2", Succeeded("capture_8"))
    assert (payments.status(held), payments.sums(held)) == ("COMPLETED", (captured, 0, 0))


def test_no_more_is_captured_than_is_held(payments: Payments, held: TenantScopedId) -> None:
    assert told(payments.capture(held, amount=1001)) == told(AmountExceedsCapturable(1000))
    assert payments.status(held) == "AUTHORIZED"


def test_a_capture_after_the_checkout_s_time_is_refused(payments: Payments, held: TenantScopedId) -> None:
    payments.now = NOW + EXPIRY_MS
    assert isinstance(payments.capture(held), CheckoutExpired)
    assert payments.status(held) == "AUTHORIZED"
    payments.now -= 1
    assert isinstance(payments.capture(held), Started)


def test_a_capture_whose_checkout_s_time_ends_while_it_is_under_way_is_carried_out(
    payments: Payments, held: TenantScopedId
) -> None:
    payments.capture(held)
    payments.now = NOW + EXPIRY_MS
    payments.prove("att_2", Succeeded("capture_8"))
    assert payments.status(held) == "COMPLETED"


@pytest.mark.parametrize("state", ["PENDING", "PROCESSING", "FAILED", "COMPLETED", "CANCELED"])
def test_only_held_money_can_be_captured(payments: Payments, state: str) -> None:
    checkout = payments.create()
    if state == "CANCELED":
        payments.cancel(checkout)
    elif state != "PENDING":
        payments.pay(checkout)
        answers: dict[str, Evidence] = {
            "FAILED": Declined("do_not_honor"),
            "COMPLETED": Succeeded("ch_1"),
            "PROCESSING": Unknown("?"),
        }
        payments.prove("att_1", answers[state])
    assert told(payments.capture(checkout)) == told(InvalidState(state, "captured"))
    assert payments.status(checkout) == state


def test_what_is_not_there_or_another_s_is_neither_captured_nor_canceled(
    payments: Payments, held: TenantScopedId
) -> None:
    for name in (TenantScopedId("chk_none", "m"), TenantScopedId(held.id, "another")):
        assert isinstance(payments.capture(name), CheckoutNotFound)
        assert isinstance(payments.cancel(name), CheckoutNotFound)
    assert payments.status(held) == "AUTHORIZED"


def test_the_same_capture_again_is_answered_with_the_one_that_is_under_way_and_another_amount_is_too_late(
    payments: Payments, held: TenantScopedId
) -> None:
    payments.capture(held, amount=600)
    again = payments.capture(held, "att_3", amount=600)
    assert isinstance(again, Repeated)
    assert again.checkout == payments.checkout(held)
    for amount in (601, 1000, None):
        assert told(payments.capture(held, "att_3", amount)) == told(InvalidState("PROCESSING", "captured"))
    payments.prove("att_2", Succeeded("capture_8"))
    assert told(payments.capture(held, "att_3", 600)) == told(InvalidState("COMPLETED", "captured"))


def test_a_capture_without_an_amount_again_is_the_capture_of_everything(
    payments: Payments, held: TenantScopedId
) -> None:
    payments.capture(held)
    assert isinstance(payments.capture(held, "att_3"), Repeated)
    assert isinstance(payments.capture(held, "att_3", 1000), Repeated)


def test_after_a_declined_capture_the_same_charge_is_captured_or_let_go(
    payments: Payments, held: TenantScopedId
) -> None:
    payments.capture(held)
    payments.prove("att_2", Declined("authorization_expired", "capture_8"))
    assert (payments.status(held), payments.sums(held)) == ("AUTHORIZED", (0, 0, 0))
    payments.capture(held, "att_3", 400)
    assert payments.attempt("att_3").charge_reference == "ch_7"
    payments.prove("att_3", Declined("authorization_expired", "capture_9"))
    payments.cancel(held, "att_4")
    assert (payments.attempt("att_4").charge_reference, payments.attempt("att_4").amount) == ("ch_7", 1000)


def test_while_money_is_let_go_it_is_not_captured(payments: Payments, held: TenantScopedId) -> None:
    payments.cancel(held)
    assert isinstance(payments.capture(held, "att_3"), PaymentInProgress)
    assert [one.type for one in payments.events(held)][-1] == "attempt.started"


def test_what_is_started_is_born_ready_or_in_the_hands_of_the_process_that_took_the_request(payments: Payments) -> None:
    starts: list[tuple[StartAction, Wish]] = [(start_captures, capturing), (start_cancels, canceling)]
    for number, (action, wish) in enumerate(starts):
        for leased in (False, True):
            name = f"{number}{leased}"
            checkout = payments.paid(name, attempt_id=f"pay_{name}", manual=True)
            (started,) = payments.do(action, wish(checkout, f"att_{name}", lease_ms=LEASE_MS if leased else 0))
            attempt = payments.attempt(f"att_{name}")
            assert (started.attempt, started.is_owned_locally) == (attempt, leased)
            born = ("SENT", NOW + LEASE_MS, 1) if leased else ("READY", NOW, 0)
            assert (attempt.status, attempt.due_at, attempt.fence) == born


def test_what_is_captured_or_let_go_goes_to_the_provider_that_holds_it(payments: Payments) -> None:
    for name, start in (("1", payments.capture), ("2", payments.cancel)):
        checkout = payments.create(name, manual=True)
        payments.pay(checkout, f"pay_{name}", provider="elsewhere", payment_method="tok_special")
        payments.prove(f"pay_{name}", Authorized("ch_1"))
        attempt = start(checkout, f"att_{name}").attempt
        assert (attempt.provider, attempt.payment_method, attempt.provider_key) == (
            ("elsewhere", "tok_special", f"att_{name}")
        )


def test_a_cancel_lets_held_money_go_and_the_checkout_is_canceled_when_that_is_proven(
    payments: Payments, held: TenantScopedId
) -> None:
    payments.now += 7
    started = payments.cancel(held)
    assert isinstance(started, Started)
    assert started.attempt == payments.attempt("att_2")
    assert (started.attempt.kind, started.attempt.amount, started.attempt.charge_reference) == ("VOID", 1000, "ch_7")
    assert started.checkout == payments.checkout(held)
    assert (started.checkout.status, started.checkout.updated_at) == ("AUTHORIZED", NOW + 7)
    again = payments.cancel(held, "att_3")
    assert isinstance(again, Repeated)
    assert again.checkout == payments.checkout(held)
    payments.prove("att_2", Succeeded("void_8"))
    assert (payments.status(held), payments.sums(held)) == ("CANCELED", (0, 0, 0))
    assert isinstance(payments.cancel(held, "att_3"), Repeated)


def test_a_cancel_of_what_is_not_paid_needs_no_provider(payments: Payments) -> None:
    checkout = payments.create()
    outcome = payments.cancel(checkout)
    assert isinstance(outcome, Repeated)
    assert (outcome.checkout.status, outcome.checkout) == ("CANCELED", payments.checkout(checkout))


@pytest.mark.parametrize("state", ["PROCESSING", "COMPLETED"])
def test_what_is_paid_or_being_paid_is_not_canceled(payments: Payments, state: str) -> None:
    checkout = payments.create(manual=True)
    payments.pay(checkout)
    if state == "COMPLETED":
        payments.prove("att_1", Authorized("ch_1"))
        payments.capture(checkout)
        payments.prove("att_2", Succeeded("capture_8"))
    assert told(payments.cancel(checkout, "att_3")) == told(InvalidState(state, "canceled"))


@pytest.mark.parametrize(
    ("action", "wish"), [(start_captures, capturing), (start_cancels, canceling)], ids=["capture", "void"]
)
def test_a_batch_that_runs_again_after_a_lost_commit_finds_its_own_attempt(
    payments: Payments, held: TenantScopedId, action: StartAction, wish: Wish
) -> None:
    (first,) = payments.do(action, wish(held, lease_ms=LEASE_MS))
    (again,) = payments.do(action, wish(held, lease_ms=LEASE_MS))
    assert isinstance(first, Started)
    assert again.attempt == first.attempt
    assert again.checkout == payments.checkout(held)
    assert payments.history(held).count("checkout.processing" if action is start_captures else "attempt.started") == (
        2 if action is start_captures else 1
    )


@pytest.mark.parametrize(
    ("action", "wish", "expected"),
    [
        (start_captures, capturing, ("checkout.processing", '{"kind":"CAPTURE"}')),
        (start_cancels, canceling, ("attempt.started", '{"kind":"VOID"}')),
    ],
    ids=["capture", "void"],
)
def test_the_event_tells_the_request_and_the_kind_of_what_was_started(
    payments: Payments, held: TenantScopedId, action: StartAction, wish: Wish, expected: tuple[str, str]
) -> None:
    payments.do(action, wish(held, origin=Origin("req_1")))
    event = payments.events(held)[-1]
    assert (event.type, event.detail) == expected
    assert (event.cause, event.attempt_id, event.request_id) == ("request", "att_2", "req_1")


def test_the_origin_of_a_cancel_of_what_is_not_paid_is_told_too(payments: Payments) -> None:
    checkout = payments.create()
    payments.do(start_cancels, canceling(checkout, origin=Origin("req_1")))
    assert (payments.events(checkout)[-1].type, payments.events(checkout)[-1].request_id) == (
        ("checkout.canceled", "req_1")
    )


def test_of_two_captures_in_one_batch_the_first_is_started_and_the_second_is_told(
    payments: Payments, held: TenantScopedId
) -> None:
    first, second, other = payments.do(
        start_captures, capturing(held, "att_2"), capturing(held, "att_3"), capturing(held, "att_4", 1)
    )
    assert (type(first), type(second), type(other)) == (Started, Repeated, InvalidState)
    assert payments.history(held).count("checkout.processing") == 2  # The payment's, and one capture's.


def test_a_capture_that_another_process_overtakes_looks_again(payments: Payments, held: TenantScopedId) -> None:
    (outcome,) = payments.do_interrupted(
        start_captures, capturing(held, "att_theirs"), start_captures, capturing(held, "att_mine")
    )
    assert isinstance(outcome, Repeated)
    assert outcome.checkout.attempt == as_latest(payments.attempt("att_theirs"))
    assert payments.checkout(held).attempt == outcome.checkout.attempt


def test_a_capture_that_a_cancel_overtakes_is_refused_and_starts_nothing(
    payments: Payments, held: TenantScopedId
) -> None:
    (outcome,) = payments.do_interrupted(
        start_cancels, canceling(held, "att_theirs"), start_captures, capturing(held, "att_mine")
    )
    assert isinstance(outcome, PaymentInProgress)
    assert payments.history(held)[-1] == "attempt.started"


def test_a_cancel_that_a_capture_overtakes_is_refused_and_starts_nothing(
    payments: Payments, held: TenantScopedId
) -> None:
    (outcome,) = payments.do_interrupted(
        start_captures, capturing(held, "att_theirs"), start_cancels, canceling(held, "att_mine")
    )
    assert told(outcome) == told(InvalidState("PROCESSING", "canceled"))
    assert payments.checkout(held).attempt == as_latest(payments.attempt("att_theirs"))


def test_a_cancel_of_what_is_not_paid_that_a_payment_overtakes_is_refused(payments: Payments) -> None:
    checkout = payments.create()
    (outcome,) = payments.do_interrupted(start_payments, payment(checkout), cancel_checkouts, CancelCheckout(checkout))
    assert told(outcome) == told(InvalidState("PROCESSING", "canceled"))
    assert payments.status(checkout) == "PROCESSING"


def test_held_money_whose_time_is_over_is_let_go_by_itself_and_the_checkout_expires(
    payments: Payments, held: TenantScopedId
) -> None:
    payments.now = NOW + EXPIRY_MS - 1
    assert payments.do(void_expired, VoidExpired(10, new_id)) == [0]
    payments.now += 1
    assert payments.do(void_expired, VoidExpired(10, new_id)) == [1]
    event = payments.events(held)[-1]
    assert (event.type, event.cause) == ("attempt.started", "clock")
    assert payments.do(void_expired, VoidExpired(10, new_id)) == [0]  # It is under way.
    (void,) = payments.claim()
    assert (void.id, void.kind, void.charge_reference, void.fence) == (event.attempt_id, "VOID", "ch_7", 1)
    assert re.fullmatch(pattern(ATTEMPT), void.id)
    payments.prove(void.id, Succeeded("void_8"))
    assert payments.status(held) == "EXPIRED"


def test_a_capture_that_was_declined_after_the_checkout_s_time_is_let_go_too(
    payments: Payments, held: TenantScopedId
) -> None:
    payments.capture(held)
    payments.now = NOW + EXPIRY_MS
    assert payments.do(void_expired, VoidExpired(10, new_id)) == [0]  # The capture may still succeed.
    payments.prove("att_2", Declined("authorization_expired"))
    assert payments.do(void_expired, VoidExpired(10, new_id)) == [1]


def test_of_what_expired_only_held_money_is_let_go_and_no_more_than_is_asked_for(payments: Payments) -> None:
    for number in range(3):
        payments.paid(f"held_{number}", attempt_id=f"pay_{number}", manual=True, expires_in_seconds=300 + number)
    payments.create("unpaid", expires_in_seconds=400)
    payments.paid("taken", attempt_id="pay_taken", expires_in_seconds=400)
    payments.now = NOW + EXPIRY_MS
    assert payments.do(void_expired, VoidExpired(2, new_id)) == [2]
    assert payments.history(TenantScopedId("chk_held_2", "m"))[-1] == "checkout.authorized"  # The last to expire.
    assert payments.do(void_expired, VoidExpired(1, new_id), VoidExpired(10, new_id)) == [1, 0]
    assert payments.history(TenantScopedId("chk_unpaid", "m")) == ["checkout.created"]


def test_held_money_without_its_attempt_is_logged_and_keeps_no_other_from_being_let_go(payments: Payments) -> None:
    held = [
        payments.paid(f"held_{number}", attempt_id=f"pay_{number}", manual=True, expires_in_seconds=300 + number)
        for number in range(3)
    ]
    payments.create("unpaid")
    payments.lose_attempt_of(held[0])
    payments.now = NOW + EXPIRY_MS
    with capture_logs() as lines:
        assert payments.do(void_expired, VoidExpired(10, new_id)) == [2]
    assert [(one["event"], one["checkout_id"]) for one in lines] == [("held_money_without_attempt", "chk_held_0")]


def test_held_money_without_its_attempt_is_neither_captured_nor_canceled(
    payments: Payments, held: TenantScopedId
) -> None:
    payments.lose_attempt_of(held)
    assert told(payments.capture(held)) == told(InvalidState("AUTHORIZED", "captured"))
    assert told(payments.cancel(held)) == told(InvalidState("AUTHORIZED", "canceled"))
    assert payments.claim() == []


def test_a_void_of_what_expired_that_a_cancel_overtakes_counts_for_nothing(
    payments: Payments, held: TenantScopedId
) -> None:
    payments.now = NOW + EXPIRY_MS
    counted = payments.do_interrupted(
        start_cancels, canceling(held, "att_theirs"), void_expired, VoidExpired(10, new_id)
    )
    assert counted == [0]
    assert [one.id for one in payments.claim()] == ["att_theirs"]


@pytest.mark.parametrize(("late_ms", "status", "cause"), [(-1, "CANCELED", "request"), (0, "EXPIRED", "clock")])
def test_a_cancel_of_held_money_whose_time_is_over_is_the_clock_s(
    payments: Payments, held: TenantScopedId, late_ms: int, status: str, cause: str
) -> None:
    payments.now = NOW + EXPIRY_MS + late_ms
    assert isinstance(payments.cancel(held), Started)
    assert payments.events(held)[-1].cause == cause
    payments.now = NOW + EXPIRY_MS + 1  # What counts is when the void began.
    payments.prove("att_2", Succeeded("void_8"))
    assert payments.status(held) == status
