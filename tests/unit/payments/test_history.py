"""The history of a payment: its own attempts, disputes and events, and nobody else's, on both databases."""

from paidonce.errors import CheckoutNotFound
from paidonce.merchants.model import TenantScopedId
from paidonce.payments.history import PaymentHistory, load_histories
from paidonce.providers.evidence import Dispute, Succeeded
from tests.support.payments import Payments


def test_a_history_holds_what_belongs_to_its_checkout_oldest_first(payments: Payments) -> None:
    mine, other = payments.paid("1"), payments.paid("2", attempt_id="att_2", reference="ch_2")
    payments.now += 1000
    payments.refund(mine, amount=300)
    payments.prove("ref_1", Succeeded("re_1"))
    payments.change(Dispute("dp_1", "opened", 400, "USD", None), "att_2")
    of_mine, of_other = payments.do(load_histories, mine, other)
    assert isinstance(of_mine, PaymentHistory)
    assert isinstance(of_other, PaymentHistory)
    assert [one.id for one in of_mine.attempts] == ["att_1", "ref_1"]
    assert [one.id for one in of_other.attempts] == ["att_2"]
    assert ([one.reference for one in of_mine.disputes], [one.reference for one in of_other.disputes]) == ([], ["dp_1"])
    assert [one.type for one in of_mine.events] == payments.history(mine)
    assert {one.checkout_id for one in of_mine.events} == {mine.id}


def test_a_payment_of_another_merchant_has_no_history(payments: Payments) -> None:
    mine = payments.paid()
    (found,) = payments.do(load_histories, TenantScopedId(mine.id, "stranger"))
    assert isinstance(found, CheckoutNotFound)
