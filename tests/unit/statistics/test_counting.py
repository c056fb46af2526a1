"""What each event counts as, on both databases."""

from typing import Final

import pytest

from paidonce.checkouts.actions import CancelCheckout, cancel_checkouts
from paidonce.events.model import Event, EventType
from paidonce.merchants.model import Tenant
from paidonce.payments.model import Fallback
from paidonce.providers.evidence import Authorized, Declined, Dispute, NotDone, Succeeded
from paidonce.statistics.actions import CountLogs, count_logs, store_counts
from paidonce.statistics.counting import AttemptFacts, Facts, count_events
from paidonce.statistics.histogram import quantile_ms
from paidonce.statistics.model import Figures, FiguresKey
from tests.support.payments import NOW, Payments
from tests.support.statistics_oracle import HOUR_MS

FIRST_HOUR: Final = NOW // HOUR_MS * HOUR_MS


def count(payments: Payments) -> dict[FiguresKey, Figures]:
    with payments.database.read() as transaction:
        ((counted,),) = count_logs(transaction, [CountLogs([Tenant("m", "test")], 1000)])
    with payments.database.write() as transaction:
        assert store_counts(transaction, [counted]) == [True]
    return counted.figures


def total(payments: Payments) -> Figures:
    """Sum up whatever is counted."""
    added = Figures()
    for figures in count(payments).values():
        added.add(figures)
    return added


def test_a_checkout_is_counted_in_the_hour_of_each_of_its_events_and_at_the_provider_of_its_attempt(
    payments: Payments,
) -> None:
    checkout = payments.create()
    payments.now += HOUR_MS
    payments.pay(checkout)
    payments.now += 5000
    payments.prove("att_1", Succeeded("ch_1"))
    counted = count(payments)
    created = counted[FiguresKey("m", "test", FIRST_HOUR, "USD", "")]
    paid = counted[FiguresKey("m", "test", FIRST_HOUR + HOUR_MS, "USD", "simulator")]
    assert len(counted) == 2
    assert (created.checkouts_created, created.payments_succeeded) == (1, 0)
    assert (paid.checkouts_created, paid.payments_succeeded, paid.amount_captured) == (0, 1, 1000)


def test_the_time_to_settle_begins_with_the_first_pay_whatever_was_declined_since(payments: Payments) -> None:
    checkout = payments.create()
    payments.pay(checkout)
    payments.now += 40_000
    payments.prove("att_1", Declined("expired_card"))
    payments.pay(checkout, "att_2")
    payments.now += 60_000
    payments.prove("att_2", Succeeded("ch_2"))
    counted = total(payments)
    assert (counted.payments_succeeded, counted.payments_declined, counted.declines) == (1, 1, {"expired_card": 1})
    assert quantile_ms(counted.settle_times, 0.5) == pytest.approx(100_000, rel=0.045)


def test_every_payment_that_settles_in_the_same_time_is_counted(payments: Payments) -> None:
    for number in (1, 2, 3):
        checkout = payments.create(f"{number}")
        payments.pay(checkout, f"att_{number}")
        payments.now += 5000
        payments.prove(f"att_{number}", Succeeded(f"ch_{number}"))
    counted = total(payments)
    assert list(counted.settle_times.values()) == [3]


def test_all_that_happens_at_the_same_provider_in_the_same_hour_is_added_up(payments: Payments) -> None:
    for number in (1, 2):
        declined, canceled = payments.create(f"declined {number}"), payments.create(f"canceled {number}")
        payments.pay(declined, f"att_{number}")
        payments.prove(f"att_{number}", Declined("expired_card"))
        payments.do(cancel_checkouts, CancelCheckout(canceled))
        paid = payments.create(f"paid {number}")
        payments.pay(paid, f"att_p{number}")
        payments.prove(f"att_p{number}", Succeeded(f"ch_{number}"))
        payments.refund(paid, f"ref_{number}", 300)
        payments.prove(f"ref_{number}", Succeeded(f"re_{number}"))
    counted = total(payments)
    assert (counted.checkouts_created, counted.checkouts_canceled) == (6, 2)
    assert (counted.payments_declined, counted.declines) == (2, {"expired_card": 2})
    assert (counted.payments_succeeded, counted.amount_captured, counted.amount_refunded) == (2, 2000, 600)


def test_a_payment_that_is_authorized_settles_then_and_counts_its_amount_when_it_is_captured(
    payments: Payments,
) -> None:
    checkout = payments.create(manual=True)
    payments.pay(checkout)
    payments.now += 2000
    payments.prove("att_1", Authorized("ch_1"))
    authorized = total(payments)
    payments.now += HOUR_MS
    payments.capture(checkout, amount=700)
    payments.prove("att_2", Succeeded("ch_1"))
    captured = total(payments)
    assert (authorized.payments_succeeded, authorized.amount_captured) == (1, 0)
    assert (captured.payments_succeeded, captured.amount_captured, captured.settle_times) == (0, 700, {})


def test_an_authorization_that_outlives_a_declined_capture_is_no_second_payment(payments: Payments) -> None:
    checkout = payments.paid(manual=True)
    payments.capture(checkout)
    payments.prove("att_2", Declined("declined"))
    counted = total(payments)
    assert payments.status(checkout) == "AUTHORIZED"
    assert (counted.payments_succeeded, counted.payments_declined) == (1, 0)


def test_a_payment_that_continues_with_another_account_is_not_declined(payments: Payments) -> None:
    payments.add_account("stripe", "pac_1")
    payments.add_account("mollie", "pac_2")
    checkout = payments.create()
    payments.pay(checkout, provider="stripe", account_id="pac_1", fallbacks=(Fallback("mollie", "pac_2"),))
    payments.prove("att_1", NotDone("refused", "provider_refused"))
    counted = total(payments)
    assert payments.status(checkout) == "PROCESSING"
    assert counted.payments_declined == 0


def test_a_success_that_is_confirmed_after_a_decline_counts_as_both(payments: Payments) -> None:
    checkout = payments.create()
    payments.pay(checkout)
    payments.prove("att_1", Declined("expired_card"))
    payments.prove("att_1", Succeeded("ch_1"))
    counted = total(payments)
    assert (counted.payments_succeeded, counted.payments_declined, counted.amount_captured) == (1, 1, 1000)


def test_the_reversal_of_a_charge_that_came_too_late_is_no_refund(payments: Payments) -> None:
    checkout = payments.create()
    payments.pay(checkout)
    payments.prove("att_1", Declined("expired_card"))
    payments.do(cancel_checkouts, CancelCheckout(checkout))
    payments.prove("att_1", Succeeded("ch_1"))
    (reversal,) = [one.attempt_id for one in payments.events(checkout) if one.attempt_kind == "REVERSAL"]
    assert reversal is not None
    payments.prove(reversal, Succeeded("re_1"))
    counted = total(payments)
    assert payments.history(checkout)[-1] == "refund.succeeded"
    assert (counted.amount_captured, counted.amount_refunded, counted.checkouts_canceled) == (0, 0, 1)


def test_a_refund_that_fails_after_all_is_subtracted_in_the_hour_in_which_that_is_known(payments: Payments) -> None:
    checkout = payments.paid()
    payments.refund(checkout, amount=300)
    payments.prove("ref_1", Succeeded("re_1"))
    assert total(payments).amount_refunded == 300
    payments.now += HOUR_MS
    payments.prove("ref_1", Declined("expired_card", "re_1"))
    assert total(payments).amount_refunded == -300


def test_a_reversal_that_fails_after_all_is_not_subtracted_because_it_was_never_counted() -> None:
    told = [
        Event(
            id=f"evt_{sequence}",
            merchant_id="m",
            mode="test",
            sequence=sequence,
            checkout_id="chk_1",
            attempt_id="att_2",
            type=kind,
            cause="lookup",
            detail=None,
            request_id=None,
            created_at=NOW,
            attempt_kind="REVERSAL",
        )
        for sequence, kind in enumerate((EventType.REFUND_SUCCEEDED, EventType.REFUND_FAILED), start=1)
    ]
    facts = Facts(
        currencies={"chk_1": "USD"},
        attempts={"att_2": AttemptFacts("simulator", 1000)},
        first_paid_at={},
        histories={"chk_1": told},
    )
    assert [figures.amount_refunded for figures in count_events(told, facts).values()] == [0]


def test_a_refund_that_fails_at_once_changes_no_sum(payments: Payments) -> None:
    checkout = payments.paid()
    payments.refund(checkout, amount=300)
    payments.prove("ref_1", Declined("expired_card"))
    assert total(payments).amount_refunded == 0


@pytest.mark.parametrize(
    ("statuses", "disputed"),
    [
        (["opened"], 400),
        (["opened", "lost"], 400),
        (["opened", "won"], 0),
        (["lost"], 400),
        (["won"], 0),
        (["opened", "won", "lost"], 400),
    ],
)
def test_what_is_disputed_is_the_amount_of_disputes_that_are_open_or_lost(
    payments: Payments, statuses: list[str], disputed: int
) -> None:
    checkout = payments.paid()
    counted = 0
    for status in statuses:
        payments.change(Dispute("dp_1", status, 400, "USD", None))  # type: ignore[arg-type] # One of the three.
        counted += total(payments).amount_disputed
    assert counted == disputed == payments.checkout(checkout).amount_disputed


def test_a_dispute_in_another_currency_is_not_added_to_amounts_in_this_one(payments: Payments) -> None:
    payments.paid()
    payments.change(Dispute("dp_1", "opened", 400, "EUR", None))
    assert total(payments).amount_disputed == 0
