"""A payment that was thought declined and succeeded all the same, after another was tried."""

from paidonce.providers.evidence import Declined, Succeeded
from tests.support.payments import Payments


def test_a_payment_that_succeeds_after_a_later_one_was_declined_is_returned(payments: Payments) -> None:
    checkout = payments.create()
    for attempt_id in ("att_1", "att_2"):
        payments.pay(checkout, attempt_id)
        payments.prove(attempt_id, Declined("do_not_honor"))
    payments.prove("att_1", Succeeded("ch_1"))
    assert payments.status(checkout) == "FAILED"
    (reversal,) = payments.claim()
    assert (reversal.kind, reversal.charge_reference, reversal.amount) == ("REVERSAL", "ch_1", 1000)


def test_a_payment_that_succeeds_late_completes_its_checkout_where_no_other_was_tried(payments: Payments) -> None:
    checkout = payments.create()
    payments.pay(checkout)
    payments.prove("att_1", Declined("do_not_honor"))
    payments.prove("att_1", Succeeded("ch_1"))
    assert (payments.status(checkout), payments.sums(checkout), payments.claim()) == ("COMPLETED", (1000, 0, 0), [])
