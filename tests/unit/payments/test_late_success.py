"""A payment that was thought declined and succeeded all the same, after another was tried."""

import pytest

from paidonce.events.model import Cause
from paidonce.merchants.model import TenantScopedId
from paidonce.payments.review import ResolveAttempt, resolve_attempts
from paidonce.payments.schedule import LookupSchedule
from paidonce.providers.evidence import Authorized, Declined, Succeeded
from tests.support.payments import Payments

DECLINE = Declined("do_not_honor", "ch_no")


def canceled(payments: Payments) -> TenantScopedId:
    """Have a canceled checkout whose authorization was declined."""
    checkout = payments.create(manual=True)
    payments.pay(checkout)
    payments.prove("att_1", DECLINE)
    payments.cancel(checkout)
    return checkout


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


# Authorizations that are confirmed after they were declined.


def test_an_authorization_that_is_confirmed_after_its_decline_authorizes_its_checkout_until_it_lapses(
    payments: Payments,
) -> None:
    checkout = payments.create(manual=True)
    payments.pay(checkout)
    payments.prove("att_1", DECLINE)
    lapses_at = payments.now + 60_000
    payments.prove("att_1", Authorized("ch_1", capture_before=lapses_at))
    found = payments.checkout(checkout)
    assert (found.status, found.amount_captured, found.expires_at) == ("AUTHORIZED", 0, lapses_at)
    assert payments.claim() == []
    payments.capture(checkout, "att_2", 400)
    payments.prove("att_2", Succeeded("capture_1"))
    assert (payments.status(checkout), payments.sums(checkout)) == ("COMPLETED", (400, 0, 0))


@pytest.mark.parametrize("meanwhile", ["canceled", "being paid again", "authorized again"])
def test_an_authorization_that_is_confirmed_too_late_is_voided_and_its_checkout_stays_as_it_is(
    payments: Payments, meanwhile: str
) -> None:
    checkout = payments.create(manual=True)
    payments.pay(checkout)
    payments.prove("att_1", DECLINE)
    if meanwhile == "canceled":
        payments.cancel(checkout)
    else:
        payments.pay(checkout, "att_2")
    if meanwhile == "authorized again":
        payments.prove("att_2", Authorized("ch_2"))
    before = payments.checkout(checkout)
    payments.prove("att_1", Authorized("ch_1", capture_before=payments.now + 1), cause=Cause.WEBHOOK)
    (reversal,) = [one for one in payments.claim() if one.kind == "REVERSAL"]
    assert (reversal.operation, reversal.charge_reference, reversal.amount) == ("void", "ch_1", 1000)
    assert reversal.reason == "the authorization was confirmed too late for the checkout"
    payments.prove(reversal.id, Succeeded("void_1", kind="void"))
    assert payments.attempt(reversal.id).status == "SUCCEEDED"
    assert payments.history(checkout)[-2:] == ["refund.created", "refund.succeeded"]
    after = payments.checkout(checkout)
    assert (after.status, after.expires_at, after.updated_at) == (before.status, before.expires_at, before.updated_at)
    assert payments.sums(checkout) == (0, 0, 0)


def test_an_authorization_that_is_confirmed_too_late_and_was_captured_is_refunded(payments: Payments) -> None:
    canceled(payments)
    payments.prove("att_1", Succeeded("ch_1"))
    (reversal,) = payments.claim()
    assert (reversal.kind, reversal.operation, reversal.charge_reference) == ("REVERSAL", "refund", "ch_1")


def test_an_authorization_that_a_person_confirms_too_late_is_voided(payments: Payments) -> None:
    canceled(payments)
    found = ResolveAttempt(name=TenantScopedId("att_1", None), evidence=Succeeded("ch_1"), schedule=LookupSchedule())
    payments.do(resolve_attempts, found)
    (reversal,) = payments.claim()
    assert (reversal.operation, reversal.charge_reference) == ("void", "ch_1")


def test_a_refund_proves_nothing_about_the_void_of_an_authorization_that_came_too_late(payments: Payments) -> None:
    canceled(payments)
    payments.prove("att_1", Authorized("ch_1"))
    (reversal,) = payments.claim()
    payments.prove(reversal.id, Succeeded("re_1", kind="refund"))
    assert payments.attempt(reversal.id).status == "NEEDS_REVIEW"
