"""The rows of attempts that a buyer pays through a session: when they change, and to what."""

from typing import Final

import pytest

from paidonce.errors import InvalidState
from paidonce.merchants.model import TenantScopedId
from paidonce.payments.capture import StartCancel, start_cancels
from paidonce.payments.session_store import commit_sessions
from paidonce.payments.sessions import resume_attempts
from paidonce.payments.settle import record_evidence
from paidonce.providers.base import HOSTED_PAGE
from paidonce.providers.evidence import Redirect, RequiresAction, Succeeded
from tests.support.payments import NOW, Payments, evidence_about, told

RESUME_AFTER_MS: Final = 1500
WAITS: Final = RequiresAction("ses_1", Redirect("https://provider.example/pay/ses_1"))


def awaiting_buyer(payments: Payments) -> TenantScopedId:
    """Create a checkout whose buyer was sent to the provider's page."""
    checkout = payments.create()
    payments.pay(checkout, payment_method=HOSTED_PAGE, return_url="https://pay.example/return/1")
    payments.claim()
    payments.prove("att_1", WAITS, fence=1)
    return checkout


@pytest.mark.parametrize(
    ("after_ms", "due_ms"),
    [(0, RESUME_AFTER_MS), (1, RESUME_AFTER_MS), (RESUME_AFTER_MS, RESUME_AFTER_MS), (4000, 4000)],
)
def test_a_buyer_who_comes_back_is_asked_about_at_once_or_a_while_after_the_last_time(
    payments: Payments, after_ms: int, due_ms: int
) -> None:
    awaiting_buyer(payments)
    payments.now += after_ms
    payments.do(resume_attempts, payments.attempt("att_1"))
    assert payments.attempt("att_1").due_at == NOW + due_ms


def test_a_buyer_who_comes_back_does_not_put_off_what_is_due_before(payments: Payments) -> None:
    awaiting_buyer(payments)
    payments.do(resume_attempts, payments.attempt("att_1"))
    payments.now += 2 * RESUME_AFTER_MS
    payments.do(resume_attempts, payments.attempt("att_1"))
    assert payments.attempt("att_1").due_at == NOW + RESUME_AFTER_MS


def test_a_session_that_is_about_to_be_charged_is_named_by_its_attempt_from_then_on(payments: Payments) -> None:
    awaiting_buyer(payments)
    (claimed,) = payments.claim(lease_ms=60_000) or [payments.attempt("att_1")]
    payments.now += 7
    with payments.database.write() as transaction:
        assert commit_sessions(transaction, [(claimed, "ses_2")]) == {"att_1"}
    charged = payments.attempt("att_1")
    assert (charged.status, charged.session_reference, charged.action) == ("SENT", "ses_2", None)
    assert charged.updated_at == NOW + 7


def test_no_session_is_charged_for_an_attempt_that_has_ended_meanwhile(payments: Payments) -> None:
    awaiting_buyer(payments)
    payments.prove("att_1", Succeeded("ch_1"))
    ended = payments.attempt("att_1")
    with payments.database.write() as transaction:
        assert commit_sessions(transaction, [(ended, "ses_2")]) == set()
    assert payments.attempt("att_1") == ended


def test_no_session_is_charged_for_an_attempt_whose_session_is_to_be_closed(payments: Payments) -> None:
    checkout = awaiting_buyer(payments)
    payments.do(start_cancels, StartCancel(attempt_id="att_2", checkout=checkout))
    (to_close,) = payments.claim()
    with payments.database.write() as transaction:
        assert commit_sessions(transaction, [(to_close, "ses_2")]) == set()
    assert payments.attempt("att_1").session_reference == "ses_1"


def test_a_cancel_that_the_buyer_overtakes_is_refused(payments: Payments) -> None:
    checkout = awaiting_buyer(payments)
    paid = evidence_about("att_1", Succeeded("ch_1"))
    (outcome,) = payments.do_interrupted(
        record_evidence, paid, start_cancels, StartCancel(attempt_id="att_2", checkout=checkout)
    )
    assert told(outcome) == told(InvalidState("COMPLETED", "canceled"))
    assert payments.attempt("att_1").close_reason is None
