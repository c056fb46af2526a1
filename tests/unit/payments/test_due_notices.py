"""What a transaction tells the workers: when the earliest of what it wrote, or found, is due."""

from paidonce.checkouts.actions import create_checkouts, expire_checkouts
from paidonce.clock import Instant
from paidonce.database.transaction import DueKey
from paidonce.merchants.model import TenantScopedId
from paidonce.payments.claim_store import find_providers_with_due
from paidonce.payments.model import CloseReason
from paidonce.payments.pay import start_payments
from paidonce.payments.session_store import close_sessions
from paidonce.payments.settle import record_evidence
from paidonce.providers.evidence import Authorized, Redirect, RequiresAction, Unknown
from tests.support.payments import LEASE_MS, NOW, AnyAction, Payments, evidence_about, new_checkout, payment


def told(payments: Payments, action: AnyAction, *requests: object) -> dict[DueKey, Instant]:
    """Run an action; returns when rows are due, by their table and the worker that they are due for."""
    with payments.database.write() as transaction:
        action(transaction, requests)
    return transaction.due


def test_new_checkouts_are_due_when_the_first_of_them_expires(payments: Payments) -> None:
    several = [new_checkout("1", expires_in_seconds=400), new_checkout("2", expires_in_seconds=300)]
    assert told(payments, create_checkouts, *several) == {("checkout", ""): NOW + 300_000}


def test_a_new_attempt_is_due_for_its_provider_when_its_lease_ends(payments: Payments) -> None:
    several = [payment(payments.create(one), f"att_{one}", lease_ms=LEASE_MS, provider="fake") for one in "12"]
    assert told(payments, start_payments, *several) == {("attempt", "fake"): NOW + LEASE_MS}


def test_an_unknown_outcome_is_due_when_it_is_looked_up(payments: Payments) -> None:
    payments.pay(payments.create())
    found = told(payments, record_evidence, evidence_about("att_1", Unknown("no answer")))
    assert found == {("attempt", "simulator"): payments.attempt("att_1").due_at}


def test_an_authorization_is_due_when_it_lapses(payments: Payments) -> None:
    payments.pay(payments.create(manual=True))
    proof = evidence_about("att_1", Authorized("ch_1", capture_before=NOW + 5000))
    assert told(payments, record_evidence, proof) == {("checkout", ""): NOW + 5000}


def test_whoever_expires_checkouts_is_told_of_the_next_that_expires_soon(payments: Payments) -> None:
    for name, seconds in (("1", 300), ("2", 304), ("3", 302), ("4", 400)):
        payments.create(name, expires_in_seconds=seconds)
    payments.now += 300_000
    assert told(payments, expire_checkouts, 10) == {("checkout", ""): NOW + 302_000}


def test_what_expires_late_is_not_told_of(payments: Payments) -> None:
    payments.create(expires_in_seconds=300)
    assert told(payments, expire_checkouts, 10) == {}


def test_whoever_looks_for_due_attempts_is_told_of_those_that_are_due_soon(payments: Payments) -> None:
    for name, provider, lease_ms in (("1", "fake", 0), ("2", "other", 4000), ("3", "third", 60_000)):
        payments.pay(payments.create(name), f"att_{name}", provider=provider, lease_ms=lease_ms)
    with payments.database.write() as transaction:
        assert find_providers_with_due(transaction, ["fake", "other", "third"]) == {"fake"}
    assert transaction.due == {("attempt", "other"): NOW + 4000}


def test_a_session_that_is_to_be_closed_is_due_at_once(payments: Payments) -> None:
    payments.pay(payments.create(), payment_method="hosted_page", return_url="https://pay.example/return/1")
    payments.prove("att_1", RequiresAction("ses_1", Redirect("https://provider.example/ses_1")))
    with payments.database.write() as transaction:
        close_sessions(transaction, [(TenantScopedId("att_1", "m"), CloseReason.CANCELED)])
    assert transaction.due == {("attempt", ""): NOW}
