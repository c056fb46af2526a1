"""Leases: whoever holds an attempt writes under its fence, and nobody else's lease is touched."""

from contextlib import closing

import pytest
from sqlalchemy import text

from paidonce.database.schema import attempt
from paidonce.merchants.model import TenantScopedId
from paidonce.payments.claim_store import Held
from paidonce.payments.claiming import ClaimAttempts, claim_attempts, release_all_attempts, release_attempts
from paidonce.payments.external_store import read_by_reference
from paidonce.payments.model import AttemptStatus, Transition
from paidonce.payments.review import ListAttempts, list_attempts
from paidonce.payments.store import apply_transitions
from paidonce.providers.evidence import Declined, RequiresReview, Succeeded, Unknown
from tests.support.databases import without_indexes
from tests.support.payments import LEASE_MS, NOW, Payments, evidence_about


def pay_several(payments: Payments, count: int, *, provider: str = "simulator", merchant_id: str = "m") -> None:
    """Have payments att_0, att_1, …, each begun a millisecond after the one before it."""
    for number in range(count):
        checkout = payments.create(f"{merchant_id}_{number}", merchant_id=merchant_id)
        payments.pay(checkout, f"att_{number}", provider=provider)
        payments.now += 1


def test_a_claim_makes_a_ready_attempt_sent_under_its_first_fence(payments: Payments) -> None:
    pay_several(payments, 1)
    (claimed,) = payments.claim()
    assert claimed == payments.attempt("att_0")
    assert (claimed.status, claimed.fence, claimed.due_at) == ("SENT", 1, payments.now + LEASE_MS)
    assert (claimed.updated_at, claimed.created_at) == (payments.now, NOW)
    assert claimed.may_have_been_sent is False


def test_what_is_leased_is_nobody_else_s_until_the_lease_is_over(payments: Payments) -> None:
    pay_several(payments, 1)
    payments.claim()
    payments.now += LEASE_MS - 1
    assert payments.claim() == []
    payments.now += 1
    (again,) = payments.claim()
    assert (again.status, again.fence, again.may_have_been_sent) == ("SENT", 2, True)


def test_an_unknown_outcome_is_claimed_when_it_is_due_and_stays_unknown(payments: Payments) -> None:
    pay_several(payments, 1)
    payments.prove("att_0", Unknown("a 500"))
    due_at = payments.attempt("att_0").due_at
    assert due_at is not None
    payments.now = due_at - 1
    assert payments.claim() == []
    payments.now = due_at
    (claimed,) = payments.claim()
    assert (claimed.status, claimed.fence, claimed.lookup_count) == ("UNKNOWN", 1, 1)


@pytest.mark.parametrize("evidence", [Succeeded("ch_1"), Declined("do_not_honor"), RequiresReview("a dispute")])
def test_what_is_ended_or_waits_for_a_person_is_claimed_by_nobody(
    payments: Payments, evidence: Succeeded | Declined | RequiresReview
) -> None:
    pay_several(payments, 1)
    payments.prove("att_0", evidence)
    payments.now += 10**12
    assert payments.claim() == []


def test_the_longest_due_are_claimed_first_and_no_more_than_are_asked_for(payments: Payments) -> None:
    pay_several(payments, 5)
    assert sorted(one.id for one in payments.claim(2)) == ["att_0", "att_1"]
    first, second = payments.do(
        claim_attempts, ClaimAttempts("simulator", 1, LEASE_MS), ClaimAttempts("simulator", 9, 2 * LEASE_MS)
    )
    assert [one.id for one in first] == ["att_2"]
    assert sorted((one.id, one.due_at) for one in second) == (
        [("att_3", payments.now + 2 * LEASE_MS), ("att_4", payments.now + 2 * LEASE_MS)]
    )


def test_the_longest_due_are_claimed_first_whatever_index_there_is(payments: Payments) -> None:
    pay_several_backwards(payments, 5)
    with without_indexes(payments.database, attempt) as transaction:
        (claimed,) = claim_attempts(transaction, [ClaimAttempts("simulator", 2, LEASE_MS)])
    assert sorted(one.id for one in claimed) == ["att_3", "att_4"]


def pay_several_backwards(payments: Payments, count: int) -> None:
    """Have payments att_0, att_1, …, each begun a millisecond before the one before it."""
    for number in range(count):
        payments.now = NOW - number
        payments.pay(payments.create(str(number)), f"att_{number}")
    payments.now = NOW


def test_attempts_at_another_provider_are_not_claimed(payments: Payments) -> None:
    pay_several(payments, 1, provider="elsewhere")
    assert payments.claim() == []
    assert [one.id for one in payments.claim(provider="elsewhere")] == ["att_0"]


def test_a_lease_that_is_given_back_is_due_at_once(payments: Payments) -> None:
    pay_several(payments, 3)
    payments.claim()
    held = [Held(f"att_{number}", "m", 1) for number in range(2)]
    assert payments.do(release_attempts, held[:1], held[1:]) == [None, None]
    assert sorted(one.id for one in payments.claim()) == ["att_0", "att_1"]


def test_a_worker_that_stops_gives_back_no_lease_that_another_has_taken_over(payments: Payments) -> None:
    pay_several(payments, 1)
    payments.claim()
    payments.now += LEASE_MS
    payments.claim()
    leased_until = payments.attempt("att_0").due_at
    payments.do(release_attempts, [Held("att_0", "m", 1)])
    assert payments.attempt("att_0").due_at == leased_until == payments.now + LEASE_MS
    payments.do(release_attempts, [Held("att_0", "m", 2)])
    assert payments.attempt("att_0").due_at == payments.now


def test_a_lease_that_is_over_is_not_put_off_by_being_given_back(payments: Payments) -> None:
    pay_several(payments, 1)
    payments.claim()
    payments.now += LEASE_MS + 5
    payments.do(release_attempts, [Held("att_0", "m", 1)])
    assert payments.attempt("att_0").due_at == payments.now - 5


def test_what_ended_meanwhile_is_not_made_due_by_a_lease_that_is_given_back(payments: Payments) -> None:
    pay_several(payments, 1)
    payments.claim()
    payments.prove("att_0", Succeeded("ch_1"))
    payments.do(release_attempts, [Held("att_0", "m", 1)])
    payments.do(release_all_attempts, None)
    assert payments.attempt("att_0").due_at is None


def test_a_process_that_is_alone_makes_every_lease_due_and_nothing_else(payments: Payments) -> None:
    pay_several(payments, 4)
    payments.claim(3)
    payments.prove("att_1", Unknown("a 500"))
    payments.prove("att_2", RequiresReview("a dispute"))
    payments.now += 1
    assert payments.do(release_all_attempts, None, None) == [None, None]
    due = {number: payments.attempt(f"att_{number}").due_at for number in range(4)}
    assert due == {0: payments.now, 1: payments.now, 2: None, 3: NOW + 3}


def test_a_lease_that_is_over_keeps_its_place_when_every_lease_is_given_back(payments: Payments) -> None:
    pay_several(payments, 1)
    payments.claim()
    payments.now += LEASE_MS + 5
    payments.do(release_all_attempts, None)
    assert payments.attempt("att_0").due_at == payments.now - 5


def test_the_oldest_without_a_proof_are_read_first_whatever_index_there_is(payments: Payments) -> None:
    pay_several_backwards(payments, 5)
    payments.record(*(evidence_about(f"att_{number}", Unknown("a 500")) for number in range(5)))
    with without_indexes(payments.database, attempt) as transaction:
        [(unknown, has_more)] = list_attempts(transaction, [ListAttempts(status=AttemptStatus.UNKNOWN, limit=2)])
    assert ([one.id for one in unknown], has_more) == (["att_4", "att_3"], True)


@pytest.mark.parametrize(("status", "target"), [("SUCCEEDED", AttemptStatus.DECLINED), ("SENT", AttemptStatus.READY)])
def test_a_transition_that_the_table_does_not_allow_is_refused_and_changes_no_row(
    payments: Payments, status: str, target: AttemptStatus
) -> None:
    pay_several(payments, 1)
    payments.claim()
    if status == "SUCCEEDED":
        payments.prove("att_0", Succeeded("ch_1"))
    attempt = payments.attempt("att_0")
    assert attempt.status == status
    refused = pytest.raises(AssertionError, match=f"no transition from {status} to {target}")
    with refused, payments.database.write() as transaction:
        apply_transitions(transaction, [(attempt, Transition(target, due_at=payments.now))])
    assert payments.attempt("att_0") == attempt


def test_two_merchants_may_have_attempts_with_one_id_and_each_lease_and_outcome_is_its_own(payments: Payments) -> None:
    pay_several(payments, 1, merchant_id="a")
    pay_several(payments, 1, merchant_id="b")
    first, second = sorted(payments.claim(), key=lambda one: one.merchant_id)
    assert [(one.merchant_id, one.id, one.fence) for one in (first, second)] == [("a", "att_0", 1), ("b", "att_0", 1)]
    payments.record(evidence_about("att_0", Succeeded("ch_1"), attempt=second))
    assert payments.status(TenantScopedId("chk_b_0", "b")) == "COMPLETED"
    assert payments.status(TenantScopedId("chk_a_0", "a")) == "PROCESSING"
    payments.do(release_attempts, [Held("att_0", "b", 1)])
    assert payments.claim() == []
    payments.do(release_attempts, [Held("att_0", "a", 1)])
    assert [(one.merchant_id, one.status, one.fence) for one in payments.claim()] == [("a", "SENT", 2)]


def test_of_two_merchants_attempts_with_one_id_no_more_are_claimed_than_are_asked_for(payments: Payments) -> None:
    for merchant_id in ("a", "b"):
        pay_several(payments, 1, merchant_id=merchant_id)
    claimed = [payments.claim(1) for _ in range(3)]
    assert [[one.merchant_id for one in some] for some in claimed] == [["a"], ["b"], []]


def test_an_attempt_is_found_by_its_reference_at_its_own_account_alone(payments: Payments) -> None:
    payments.add_account("stripe", "pac_1")
    checkout = payments.create()
    payments.pay(checkout, provider="stripe", account_id="pac_1")
    payments.prove("att_1", Succeeded("ch_1"))
    paid = payments.attempt("att_1")
    with payments.database.read() as transaction:
        assert read_by_reference(transaction, "stripe", "pac_1", "ch_1") == [paid]
        assert read_by_reference(transaction, "mollie", "pac_1", "ch_1") == []
        assert read_by_reference(transaction, "stripe", "pac_2", "ch_1") == []
        assert read_by_reference(transaction, "stripe", "pac_1", "ch_2") == []


def test_no_transitions_change_no_attempt(payments: Payments) -> None:
    with payments.database.write() as transaction:
        assert apply_transitions(transaction, []) == set()


def test_on_postgresql_what_one_worker_is_claiming_is_skipped_by_another_without_a_wait(
    on_postgresql: Payments,
) -> None:
    payments = on_postgresql
    pay_several(payments, 3)
    wanted = ClaimAttempts("simulator", 2, LEASE_MS)
    with payments.database.write() as first, closing(payments.open()) as other:
        ((earlier, early),) = claim_attempts(first, [wanted])
        with other.write() as second:
            second.connection.execute(text("SET LOCAL lock_timeout = '1s'"))  # A wait would be a failure.
            ((late,),) = claim_attempts(second, [wanted])
    assert sorted(one.id for one in (earlier, early)) == ["att_0", "att_1"]
    assert late.id == "att_2"
