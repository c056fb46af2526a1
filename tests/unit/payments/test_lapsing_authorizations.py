"""An authorized checkout expires when its authorization lapses at the provider, on both databases."""

import msgspec
import pytest

from paidonce.checkouts.actions import Replayed, create_checkouts
from paidonce.merchants.model import TenantScopedId
from paidonce.providers.evidence import Authorized, Declined, Succeeded
from tests.support.payments import NOW, Payments, evidence_about, new_checkout


def authorized_by_the_second(payments: Payments) -> TenantScopedId:
    """Have a checkout whose first authorization was declined, and that the second one authorizes."""
    checkout = payments.create(manual=True)
    payments.pay(checkout)
    payments.prove("att_1", Declined("do_not_honor"))
    payments.pay(checkout, "att_2")
    payments.prove("att_2", Authorized("ch_2"))
    return checkout


def test_an_authorized_checkout_expires_when_its_authorization_lapses_if_that_is_earlier(payments: Payments) -> None:
    checkout = payments.create(manual=True)
    requested = payments.checkout(checkout).expires_at
    payments.pay(checkout)
    payments.prove("att_1", Authorized("ch_1", capture_before=requested - 1000))
    found = payments.checkout(checkout)
    assert (found.status, found.expires_at, found.expires_at_requested) == ("AUTHORIZED", requested - 1000, requested)
    # The client's retry asks for the same as before.
    again = msgspec.structs.replace(new_checkout("1", manual=True), id="chk_again")
    (replayed,) = payments.do(create_checkouts, again)
    assert isinstance(replayed, Replayed)


def test_an_authorization_that_lapses_later_than_its_checkout_changes_nothing(payments: Payments) -> None:
    checkout = payments.create(manual=True)
    before = payments.checkout(checkout).expires_at
    payments.pay(checkout)
    payments.prove("att_1", Authorized("ch_1", capture_before=before + 1000))
    found = payments.checkout(checkout)
    assert (found.expires_at, found.expires_at_requested) == (before, None)


@pytest.mark.parametrize("lapses_at", [-(10**17), -(10**30), 0, NOW - 1, 10**30])
def test_a_lapse_at_a_time_that_no_authorization_has_changes_nothing(payments: Payments, lapses_at: int) -> None:
    checkout = payments.create(manual=True)
    before = payments.checkout(checkout).expires_at
    payments.pay(checkout)
    for _ in range(2):  # As the proof, and as what comes after it.
        payments.prove("att_1", Authorized("ch_1", capture_before=lapses_at))
        found = payments.checkout(checkout)
        assert (found.status, found.expires_at, found.expires_at_requested) == ("AUTHORIZED", before, None)


def test_evidence_that_comes_second_may_be_the_first_to_say_when_the_authorization_lapses(payments: Payments) -> None:
    checkout = payments.paid(manual=True)
    requested = payments.checkout(checkout).expires_at
    for earlier_ms in (3000, 5000, 4000):
        payments.prove("att_1", Authorized("ch_1", capture_before=requested - earlier_ms))
    assert payments.checkout(checkout).expires_at == requested - 5000
    assert payments.checkout(checkout).expires_at_requested == requested


def test_the_lapse_of_an_authorization_that_was_declined_does_not_shorten_another(payments: Payments) -> None:
    checkout = authorized_by_the_second(payments)
    before = payments.checkout(checkout).expires_at
    payments.prove("att_1", Authorized("ch_1", capture_before=before - 5000))
    assert payments.checkout(checkout).expires_at == before


def paid_by_capture(payments: Payments) -> TenantScopedId:
    checkout = payments.paid(manual=True)
    payments.capture(checkout)
    payments.prove("att_2", Succeeded("ch_1"))
    return checkout


def test_a_paid_checkout_keeps_the_end_that_it_had(payments: Payments) -> None:
    checkout = paid_by_capture(payments)
    before = payments.checkout(checkout).expires_at
    payments.prove("att_1", Authorized("ch_1", capture_before=before - 5000))
    assert payments.checkout(checkout).expires_at == before


@pytest.mark.parametrize("at_once", [True, False], ids=["in one batch", "one after the other"])
def test_the_lapse_of_an_authorization_that_is_released_does_not_shorten_another(
    payments: Payments, *, at_once: bool
) -> None:
    checkout = authorized_by_the_second(payments)
    before = payments.checkout(checkout).expires_at
    late, again = (evidence_about("att_1", Authorized("ch_1", capture_before=one)) for one in (None, before - 5000))
    for batch in [[late, again]] if at_once else [[late], [again], [again]]:
        payments.record(*batch)
    (reversal,) = payments.claim()
    assert (reversal.kind, reversal.reverses, reversal.charge_reference) == ("REVERSAL", "authorization", "ch_1")
    assert payments.checkout(checkout).expires_at == before
    payments.prove("att_2", Authorized("ch_2", capture_before=before - 1000))
    assert payments.checkout(checkout).expires_at == before - 1000


def test_an_answer_to_a_payment_that_was_declined_meanwhile_does_not_shorten_another(payments: Payments) -> None:
    checkout = payments.create(manual=True)
    payments.pay(checkout)
    as_its_worker_knows_it = payments.attempt("att_1")
    payments.prove("att_1", Declined("do_not_honor"))
    payments.pay(checkout, "att_2")
    payments.prove("att_2", Authorized("ch_2"))
    before = payments.checkout(checkout).expires_at
    answer = Authorized("ch_1", capture_before=before - 5000)
    payments.prove("att_1", answer, attempt=as_its_worker_knows_it, fence=as_its_worker_knows_it.fence)
    assert payments.checkout(checkout).expires_at == before


def test_a_second_charge_under_the_same_key_does_not_shorten_the_first(payments: Payments) -> None:
    checkout = payments.paid(manual=True)
    before = payments.checkout(checkout).expires_at
    payments.prove("att_1", Authorized("ch_other", capture_before=before - 5000))
    assert payments.checkout(checkout).expires_at == before


def test_an_authorization_whose_capture_was_declined_still_shortens_its_checkout(payments: Payments) -> None:
    checkout = payments.paid(manual=True)
    before = payments.checkout(checkout).expires_at
    payments.capture(checkout)
    payments.prove("att_2", Declined("capture_refused"))
    payments.prove("att_1", Authorized("ch_1", capture_before=before - 5000))
    assert (payments.status(checkout), payments.checkout(checkout).expires_at) == ("AUTHORIZED", before - 5000)
