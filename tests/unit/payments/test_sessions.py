"""Attempts that a buyer pays through a session: who may charge it, who may close it, and what the checkout becomes."""

from typing import Any, Final

import msgspec
import pytest

from paidonce.checkouts.schemas import checkout_response
from paidonce.clock import format_instant
from paidonce.errors import CheckoutNotFound, InvalidState, PaymentInProgress
from paidonce.events.model import Cause
from paidonce.merchants.model import TenantScopedId
from paidonce.payments.claiming import release_all_attempts
from paidonce.payments.model import Attempt, CloseReason
from paidonce.payments.pay import Repeated, Started
from paidonce.payments.session_store import close_sessions
from paidonce.payments.sessions import (
    ChargeSession,
    ReplaceSession,
    commit_charged_sessions,
    find_returning,
    replace_sessions,
    resume_attempts,
)
from paidonce.providers.base import HOSTED_PAGE
from paidonce.providers.evidence import (
    Authorized,
    ClientSecret,
    Declined,
    Opened,
    Redirect,
    RequiresAction,
    Succeeded,
    Unknown,
    decode_action,
)
from tests.support.payments import DAY_MS, NOW, Payments, evidence_about

TOKEN: Final = "T" * 32
RETURN_URL: Final = f"https://pay.example/return/{TOKEN}"
ACTION: Final = Redirect("https://provider.example/pay/ses_1")
WAITS: Final = RequiresAction("ses_1", ACTION)


def pay_hosted(payments: Payments, checkout: TenantScopedId, attempt_id: str = "att_1", **changed: Any) -> Any:  # noqa: ANN401 - any outcome
    return payments.pay(checkout, attempt_id, payment_method=HOSTED_PAGE, return_url=RETURN_URL, **changed)


def awaiting_buyer(payments: Payments, **changed: Any) -> TenantScopedId:  # noqa: ANN401 - any field
    """Create a checkout whose buyer was sent to the provider's page."""
    checkout = payments.create(**changed)
    pay_hosted(payments, checkout)
    payments.claim()
    payments.prove("att_1", WAITS, fence=1)
    return checkout


def test_a_client_secret_is_shown_to_the_merchant_with_where_the_buyer_returns_to(payments: Payments) -> None:
    checkout = payments.create()
    pay_hosted(payments, checkout)
    payments.claim()
    secret = ClientSecret("pi_1_secret_2", RETURN_URL, NOW)
    payments.prove("att_1", RequiresAction("pi_1", secret), fence=1)
    attempt = checkout_response(payments.checkout(checkout), None).attempt
    assert attempt is not None
    assert attempt.action is not None
    assert msgspec.to_builtins(attempt.action) == {
        "type": "client_secret",
        "url": None,
        "expiresAt": format_instant(NOW),
        "clientSecret": "pi_1_secret_2",
        "returnUrl": RETURN_URL,
    }


def charge(payments: Payments, attempt: Attempt, reference: str = "ses_1") -> Attempt | None:
    committed: Attempt | None = payments.do(commit_charged_sessions, ChargeSession(attempt, reference))[0]
    return committed


def come_back(payments: Payments) -> Attempt:
    """Let the buyer come back from the provider's page."""
    (attempt,) = payments.do(find_returning, TOKEN)
    payments.do(resume_attempts, attempt)
    assert isinstance(attempt, Attempt)
    return attempt


def test_an_action_of_the_buyer_leaves_the_checkout_processing_and_shows_what_is_to_be_done(payments: Payments) -> None:
    checkout = awaiting_buyer(payments)
    found = payments.checkout(checkout)
    assert (found.status, found.awaits_buyer, found.awaits_provider) == ("PROCESSING", True, False)
    assert found.attempt is not None
    assert found.attempt.action is not None
    assert decode_action(found.attempt.action) == ACTION
    attempt = payments.attempt("att_1")
    assert (attempt.status, attempt.session_reference, attempt.due_at) == (
        "REQUIRES_ACTION",
        "ses_1",
        payments.now + 30_000,
    )
    assert payments.history(checkout)[-1] == "attempt.requires_action"


@pytest.mark.parametrize(
    ("proof", "status"), [(Succeeded("ch_1"), "COMPLETED"), (Declined("buyer_declined"), "FAILED")]
)
def test_what_the_buyer_did_ends_the_attempt_and_takes_the_action_away(
    payments: Payments, proof: Succeeded | Declined, status: str
) -> None:
    checkout = awaiting_buyer(payments)
    payments.prove("att_1", proof, cause=Cause.WEBHOOK)
    found = payments.checkout(checkout)
    assert found.attempt is not None
    assert (found.status, found.attempt.action, found.awaits_buyer) == (status, None, False)
    assert payments.attempt("att_1").session_reference == "ses_1"


def test_a_buyer_who_takes_time_is_told_of_once(payments: Payments) -> None:
    checkout = awaiting_buyer(payments)
    for seconds in (31, 61, 121):
        payments.now += seconds * 1000
        (claimed,) = payments.claim()
        payments.prove("att_1", WAITS, fence=claimed.fence, attempt=claimed)
    assert payments.history(checkout).count("attempt.requires_action") == 1
    assert payments.attempt("att_1").lookup_count == 4


def test_the_same_payment_again_gets_the_same_action(payments: Payments) -> None:
    checkout = awaiting_buyer(payments)
    outcome = pay_hosted(payments, checkout, "att_2")
    assert isinstance(outcome, Repeated)
    assert outcome.checkout.attempt is not None
    assert (outcome.checkout.attempt.id, outcome.checkout.awaits_buyer) == ("att_1", True)


def test_only_the_holder_of_the_lease_commits_a_session_to_be_charged(payments: Payments) -> None:
    pay_hosted(payments, payments.create())
    (first,) = payments.claim()
    payments.now += DAY_MS // 48
    (second,) = payments.claim()
    assert charge(payments, first) is None
    committed = charge(payments, second)
    assert committed is not None
    assert (committed.status, committed.session_reference) == ("SENT", "ses_1")
    assert payments.attempt("att_1") == committed


def test_an_approved_session_is_no_longer_the_buyer_s_business_once_it_is_charged(payments: Payments) -> None:
    checkout = awaiting_buyer(payments)
    payments.prove("att_1", Opened("ses_1"), cause=Cause.WEBHOOK)
    (claimed,) = payments.claim()
    committed = charge(payments, claimed)
    assert committed is not None
    assert (committed.status, committed.action) == ("SENT", None)
    assert payments.checkout(checkout).awaits_provider
    payments.prove("att_1", Unknown("no answer"), fence=claimed.fence, attempt=committed)
    assert payments.attempt("att_1").status == "UNKNOWN"


def test_canceling_has_the_session_closed_and_the_checkout_is_canceled_when_that_is_proven(payments: Payments) -> None:
    checkout = awaiting_buyer(payments)
    for attempt_id in ("att_2", "att_3"):  # Again is the same.
        outcome = payments.cancel(checkout, attempt_id)
        assert isinstance(outcome, Repeated)
        assert outcome.checkout.status == "PROCESSING"
    attempt = payments.attempt("att_1")
    assert (attempt.close_reason, attempt.due_at) == ("canceled", payments.now)
    assert attempt.is_closing(payments.now)
    (claimed,) = payments.claim()
    before = payments.checkout(checkout)
    settled = payments.prove("att_1", Declined("session_closed"), fence=claimed.fence, attempt=claimed)
    assert settled.apply_to(before, claimed) == payments.checkout(checkout)
    assert payments.status(checkout) == "CANCELED"
    assert payments.history(checkout)[-3:] == ["attempt.closing", "checkout.failed", "checkout.canceled"]
    assert payments.events(checkout)[-3].detail == '{"reason":"canceled"}'


def test_a_buyer_who_pays_while_the_session_is_being_closed_has_paid(payments: Payments) -> None:
    checkout = awaiting_buyer(payments)
    payments.cancel(checkout)
    payments.prove("att_1", Succeeded("ch_1"), cause=Cause.WEBHOOK)
    assert (payments.status(checkout), payments.sums(checkout)) == ("COMPLETED", (1000, 0, 0))
    assert isinstance(payments.cancel(checkout, "att_4"), InvalidState)


def test_whoever_holds_the_lease_while_a_session_is_closed_records_and_charges_nothing(payments: Payments) -> None:
    checkout = awaiting_buyer(payments)
    payments.now += 31_000
    (claimed,) = payments.claim()
    payments.cancel(checkout)
    assert charge(payments, claimed) is None
    stale = payments.prove("att_1", Declined("buyer_declined"), fence=claimed.fence, attempt=claimed)
    assert stale.transition is None
    assert payments.attempt("att_1").status == "REQUIRES_ACTION"


def test_another_way_to_pay_has_the_session_closed_first_and_is_possible_then(payments: Payments) -> None:
    checkout = awaiting_buyer(payments)
    refused = payments.pay(checkout, "att_2", payment_method="tok_other")
    assert isinstance(refused, PaymentInProgress)
    assert "is ended now" in refused.detail
    assert payments.checkout(checkout).awaits_provider, "a client that waits is answered when the session is closed"
    assert payments.history(checkout)[-1] == "attempt.closing"
    assert payments.events(checkout)[-1].detail == '{"reason":"replaced"}'
    (claimed,) = payments.claim()
    assert claimed.close_reason == "replaced"
    payments.prove("att_1", Declined("session_closed"), fence=claimed.fence)
    assert payments.status(checkout) == "FAILED"
    assert isinstance(payments.pay(checkout, "att_2", payment_method="tok_other"), Started)


def test_a_session_that_is_replaced_can_be_canceled_and_not_the_other_way_round(payments: Payments) -> None:
    checkout = awaiting_buyer(payments)
    payments.pay(checkout, "att_2", payment_method="tok_other")
    assert isinstance(payments.cancel(checkout), Repeated)
    payments.pay(checkout, "att_2", payment_method="tok_other")
    assert payments.attempt("att_1").close_reason == "canceled"


@pytest.mark.parametrize("reason", CloseReason)
def test_a_session_that_is_being_canceled_is_not_closed_again_for_any_reason(
    payments: Payments, reason: CloseReason
) -> None:
    checkout = awaiting_buyer(payments)
    payments.cancel(checkout)
    closing = payments.attempt("att_1")
    payments.now += 7
    with payments.database.write() as transaction:
        assert close_sessions(transaction, [(TenantScopedId("att_1", checkout.merchant_id), reason)]) == set()
    assert payments.attempt("att_1") == closing


@pytest.mark.parametrize(("count", "closes"), [(1, True), (0, False)])
def test_a_buyer_who_wishes_to_pay_in_another_way_replaces_the_attempt_that_they_saw_and_no_newer_one(
    payments: Payments,
    count: int,
    closes: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    checkout = awaiting_buyer(payments)
    before = payments.checkout(checkout)
    nobodys = TenantScopedId("chk_nobody", checkout.merchant_id)
    seen, missing = payments.do(replace_sessions, ReplaceSession(checkout, count), ReplaceSession(nobodys, count))
    assert seen == before
    assert isinstance(missing, CheckoutNotFound)
    assert payments.attempt("att_1").close_reason == ("replaced" if closes else None)


def test_a_payment_that_does_not_wait_for_its_buyer_is_not_closed(payments: Payments) -> None:
    checkout = payments.create()
    payments.pay(checkout)
    assert isinstance(payments.cancel(checkout), InvalidState)
    refused = payments.pay(checkout, "att_2", payment_method="tok_other")
    assert isinstance(refused, PaymentInProgress)
    assert "Wait until it ends" in refused.detail
    assert payments.attempt("att_1").close_reason is None


def test_a_session_of_another_merchant_is_not_closed(payments: Payments) -> None:
    awaiting_buyer(payments)
    with payments.database.write() as transaction:
        assert close_sessions(transaction, [(TenantScopedId("att_1", "another"), "canceled")]) == set()  # type: ignore[list-item] # As stored.


def test_a_buyer_who_comes_back_makes_their_attempt_due(payments: Payments) -> None:
    awaiting_buyer(payments)
    payments.now += 20_000
    attempt = come_back(payments)
    assert attempt.id == "att_1"
    assert [one.id for one in payments.claim()] == ["att_1"]


def test_however_often_a_buyer_comes_back_their_attempt_is_claimed_once_in_one_and_a_half_seconds(
    payments: Payments,
) -> None:
    awaiting_buyer(payments)
    claims = []
    for _ in range(40):
        payments.now += 100
        come_back(payments)
        claims.append(len(payments.claim()))
    assert [number for number, claimed in enumerate(claims, 1) if claimed] == [15, 30]


def test_a_return_url_may_name_the_language_of_the_buyer_after_its_token(payments: Payments) -> None:
    payments.pay(payments.create(), payment_method=HOSTED_PAGE, return_url=f"{RETURN_URL}?lang=de")
    (attempt,) = payments.do(find_returning, TOKEN)
    assert attempt is not None
    assert attempt.return_url == f"{RETURN_URL}?lang=de"


def test_a_return_token_that_belongs_to_nobody_finds_nothing(payments: Payments) -> None:
    awaiting_buyer(payments)
    assert payments.do(find_returning, "t" * 32, TOKEN[:-1]) == [None, None]


def test_a_buyer_who_comes_back_after_the_outcome_makes_nothing_due(payments: Payments) -> None:
    awaiting_buyer(payments)
    payments.prove("att_1", Succeeded("ch_1"), cause=Cause.WEBHOOK)
    payments.now += 60_000
    attempt = come_back(payments)
    assert attempt.status == "SUCCEEDED"
    assert payments.claim() == []


def test_a_session_is_closed_when_its_checkout_expires(payments: Payments) -> None:
    checkout = awaiting_buyer(payments, expires_in_seconds=300)
    attempt = payments.attempt("att_1")
    assert attempt.session_expires_at == payments.checkout(checkout).expires_at
    assert not attempt.is_closing(payments.now + 299_999)
    assert attempt.is_closing(payments.now + 300_000)


def test_an_authorization_through_a_session_is_captured_like_any_other(payments: Payments) -> None:
    checkout = awaiting_buyer(payments, manual=True)
    payments.prove("att_1", Authorized("ch_1"), cause=Cause.WEBHOOK)
    payments.capture(checkout, "att_2")
    capture = payments.attempt("att_2")
    assert (capture.charge_reference, capture.return_url, capture.session_expires_at) == ("ch_1", None, None)


def test_a_late_success_of_a_closed_session_goes_back_to_the_buyer(payments: Payments) -> None:
    checkout = awaiting_buyer(payments)
    payments.cancel(checkout)
    payments.prove("att_1", Declined("session_closed"), cause=Cause.WEBHOOK)
    payments.record(evidence_about("att_1", Succeeded("ch_1"), cause=Cause.WEBHOOK))
    assert payments.status(checkout) == "CANCELED"
    (reversal,) = payments.claim()
    assert (reversal.kind, reversal.charge_reference, reversal.amount) == ("REVERSAL", "ch_1", 1000)


def test_a_service_that_starts_alone_does_not_ask_about_every_buyer_at_once(payments: Payments) -> None:
    awaiting_buyer(payments)
    payments.pay(payments.create("2"), "att_2", lease_ms=30_000)
    payments.do(release_all_attempts, None)
    assert [one.id for one in payments.claim()] == ["att_2"]
