"""A payment that is proven not to have begun with one account continues with the next, and never twice round."""

import re
from typing import Any, Final

import msgspec
import pytest
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

from paidonce.checkouts.model import ProviderRoute
from paidonce.database.schema import attempt as attempt_table
from paidonce.errors import InvalidState, PaymentInProgress
from paidonce.events.model import Cause
from paidonce.ids import ATTEMPT, pattern
from paidonce.merchants.model import TenantScopedId
from paidonce.payments.claiming import ClaimAttempts, claim_attempts
from paidonce.payments.model import Attempt, Fallback, decode_fallbacks
from paidonce.payments.pay import Repeated, Started
from paidonce.provider_accounts.actions import ChangeAccount, change_accounts
from paidonce.provider_accounts.model import AccountName, AccountStatus
from paidonce.providers.base import HOSTED_PAGE
from paidonce.providers.evidence import (
    Authorized,
    Declined,
    Evidence,
    NotDone,
    Redirect,
    RequiresAction,
    Succeeded,
    Unknown,
)
from tests.support.payments import LEASE_MS, Payments, evidence_about

RETURN_URL: Final = "https://pay.example/return/"
ACCOUNTS: Final = (("stripe", "pac_1"), ("mollie", "pac_2"), ("stripe", "pac_3"))
FALLBACKS: Final = (Fallback("mollie", "pac_2", f"{RETURN_URL}2"), Fallback("stripe", "pac_3", f"{RETURN_URL}3"))
REVOKED: Final = NotDone("Stripe answered 401 invalid_api_key", "provider_refused")
UNREACHABLE: Final = NotDone("connection refused; nothing was sent", retryable=True)


@pytest.fixture
def payments(payments: Payments) -> Payments:
    """Give the merchant three accounts."""
    for provider, account_id in ACCOUNTS:
        payments.add_account(provider, account_id)
    return payments


def disable(payments: Payments, account_id: str) -> None:
    payments.do(change_accounts, ChangeAccount(name=AccountName(account_id, "m"), status=AccountStatus.DISABLED))


def pay(payments: Payments, checkout: TenantScopedId, attempt_id: str = "att_1", **changed: Any) -> Any:  # noqa: ANN401 - any outcome
    fields: dict[str, Any] = {
        "provider": "stripe",
        "account_id": "pac_1",
        "payment_method": HOSTED_PAGE,
        "return_url": f"{RETURN_URL}1",
        "fallbacks": FALLBACKS,
    }
    return payments.pay(checkout, attempt_id, **(fields | changed))


def paying(payments: Payments, name: str = "1", attempt_id: str = "att_1", **changed: Any) -> TenantScopedId:  # noqa: ANN401 - any field
    """Create a checkout whose first call is about to be made."""
    checkout = payments.create(name, **changed)
    pay(payments, checkout, attempt_id, lease_ms=LEASE_MS)
    return checkout


def newest(payments: Payments, checkout: TenantScopedId) -> Attempt:
    shown = payments.checkout(checkout).attempt
    assert shown is not None
    return payments.attempt(shown.id)


def told(payments: Payments, checkout: TenantScopedId) -> list[tuple[str, str | None, dict[str, str]]]:
    return [
        (one.type, one.attempt_id, msgspec.json.decode(one.detail) if one.detail else {})
        for one in payments.events(checkout)
    ]


@pytest.mark.parametrize("manual", [False, True])
@pytest.mark.parametrize("evidence", [REVOKED, UNREACHABLE])
def test_a_payment_that_did_not_begin_with_one_account_continues_with_the_next(
    payments: Payments, evidence: NotDone, *, manual: bool
) -> None:
    checkout = paying(payments, manual=manual)
    payments.now += 7
    settled = payments.prove("att_1", evidence, fence=1)
    assert settled.transition is not None
    assert settled.transition.fallback == FALLBACKS[0]
    ended, started = payments.attempt("att_1"), newest(payments, checkout)
    assert (ended.status, ended.decline_code, ended.settled_at) == ("DECLINED", evidence.code, payments.now)
    assert re.fullmatch(pattern(ATTEMPT), started.id)
    assert started.provider_key == started.id  # A key of its own.
    assert (started.status, started.due_at, started.fence) == ("READY", payments.now, 0)
    assert (started.kind, started.amount, started.payment_method) == (ended.kind, 1000, HOSTED_PAGE)
    assert started.route == ProviderRoute("mollie", "pac_2")
    assert (started.return_url, started.return_token) == (f"{RETURN_URL}2", "2")
    assert decode_fallbacks(started.fallbacks) == FALLBACKS[1:]
    shown = payments.checkout(checkout)
    assert (shown.status, shown.attempt_count, shown.updated_at) == ("PROCESSING", 1, payments.now)
    assert told(payments, checkout)[2:] == [
        (
            "attempt.declined",
            "att_1",
            {
                "declineCode": evidence.code,
                "reason": evidence.reason,
                "provider": "stripe",
                "accountId": "pac_1",
            },
        ),
        ("attempt.started", started.id, {"kind": started.kind, "provider": "mollie", "accountId": "pac_2"}),
    ]
    assert {one.cause for one in payments.events(checkout)[2:]} == {Cause.PROVIDER_ANSWER}
    payments.claim(provider="mollie")
    payments.prove(started.id, Authorized("ch_2") if manual else Succeeded("ch_2"), fence=1)
    assert payments.status(checkout) == ("AUTHORIZED" if manual else "COMPLETED")
    assert payments.sums(checkout)[0] == (0 if manual else 1000)


@pytest.mark.parametrize(("evidence", "status"), [(REVOKED, "FAILED"), (UNREACHABLE, "PROCESSING")])
def test_each_account_is_tried_once_and_the_last_decides(payments: Payments, evidence: NotDone, status: str) -> None:
    checkout = paying(payments)
    for provider, account_id in ACCOUNTS:
        attempt = newest(payments, checkout)
        assert attempt.route == ProviderRoute(provider, account_id)
        payments.claim(provider=provider)
        payments.prove(attempt.id, evidence, fence=1)
    last = newest(payments, checkout)
    assert (last.account_id, last.status) == ("pac_3", "DECLINED" if status == "FAILED" else "UNKNOWN")
    assert payments.status(checkout) == status
    assert payments.checkout(checkout).attempt_count == 1


def test_an_account_that_was_disabled_meanwhile_is_passed_over_and_not_tried_later(payments: Payments) -> None:
    checkout = paying(payments)
    disable(payments, "pac_2")
    payments.prove("att_1", REVOKED, fence=1)
    started = newest(payments, checkout)
    assert (started.account_id, started.fallbacks) == ("pac_3", None)


@pytest.mark.parametrize(("evidence", "status"), [(REVOKED, "DECLINED"), (UNREACHABLE, "UNKNOWN")])
def test_where_no_other_account_can_be_used_the_first_is_all_there_is(
    payments: Payments, evidence: NotDone, status: str
) -> None:
    checkout = paying(payments)
    disable(payments, "pac_2")
    disable(payments, "pac_3")
    payments.prove("att_1", evidence, fence=1)
    assert (newest(payments, checkout).id, newest(payments, checkout).status) == ("att_1", status)


@pytest.mark.parametrize("evidence", [Declined("do_not_honor"), Unknown("no answer"), Unknown("500", replayed=True)])
def test_a_decline_and_an_unknown_outcome_stay_with_their_account(payments: Payments, evidence: Any) -> None:  # noqa: ANN401 - any evidence
    checkout = paying(payments)
    payments.prove("att_1", evidence, fence=1)
    assert newest(payments, checkout).id == "att_1"
    payments.now += 60_000
    payments.claim(provider="stripe")
    payments.prove("att_1", REVOKED, fence=2)
    assert newest(payments, checkout).id == "att_1"


def test_the_same_evidence_twice_lets_a_payment_continue_once(payments: Payments) -> None:
    checkout = paying(payments)
    evidence = evidence_about("att_1", REVOKED, fence=1)
    first, second = payments.record(evidence, evidence_about("att_1", REVOKED, fence=1))
    assert first.transition is not None
    assert second.transition is None
    assert payments.record(evidence)[0].transition is None
    assert newest(payments, checkout).account_id == "pac_2"
    assert payments.history(checkout).count("attempt.started") == 1


def test_an_owner_that_lost_its_lease_lets_nothing_continue(payments: Payments) -> None:
    checkout = paying(payments)
    payments.now += LEASE_MS
    payments.claim(provider="stripe")
    assert payments.prove("att_1", REVOKED, fence=1).transition is None
    assert newest(payments, checkout).id == "att_1"


def test_payments_of_one_batch_continue_each_with_their_own_account(payments: Payments) -> None:
    one, two, three = (paying(payments, str(number), f"att_{number}") for number in (1, 2, 3))
    evidence: tuple[Evidence, ...] = (REVOKED, Declined("do_not_honor"), UNREACHABLE)
    settled = payments.record(
        *(evidence_about(f"att_{number}", told, fence=1) for number, told in enumerate(evidence, start=1))
    )
    assert [payments.status(checkout) for checkout in (one, two, three)] == ["PROCESSING", "FAILED", "PROCESSING"]
    assert [newest(payments, checkout).account_id for checkout in (one, two, three)] == ["pac_2", "pac_1", "pac_2"]
    assert len(settled) == 3


def test_no_checkout_is_handed_back_while_its_payment_continues(payments: Payments) -> None:
    checkout = payments.create()
    started = pay(payments, checkout, lease_ms=LEASE_MS)
    assert isinstance(started, Started)
    settled = payments.prove("att_1", REVOKED, fence=1, attempt=started.attempt)
    assert settled.apply_to(started.checkout, started.attempt) is None


@pytest.mark.parametrize("meanwhile", ["is under way", "has succeeded", "was declined"])
def test_a_charge_of_the_first_account_that_comes_to_light_later_is_given_back(
    payments: Payments, meanwhile: str
) -> None:
    checkout = paying(payments)
    payments.prove("att_1", REVOKED, fence=1)
    second = newest(payments, checkout)
    if meanwhile != "is under way":
        payments.claim(provider="mollie")
        payments.prove(second.id, Succeeded("ch_2") if meanwhile == "has succeeded" else Declined("no"), fence=1)
    before = payments.checkout(checkout)
    payments.prove("att_1", Succeeded("ch_1"), cause=Cause.WEBHOOK)
    assert payments.checkout(checkout) == before
    event = payments.events(checkout)[-1]
    assert (event.type, event.attempt_kind) == ("refund.created", "REVERSAL")
    reversal = payments.attempt(event.attempt_id or "")
    assert (reversal.route, reversal.charge_reference) == (ProviderRoute("stripe", "pac_1"), "ch_1")
    assert reversal.fallbacks is None
    assert payments.attempt("att_1").status == "SUCCEEDED"


def test_a_pay_that_may_use_the_same_accounts_is_answered_with_the_attempt_that_continues(payments: Payments) -> None:
    checkout = paying(payments)
    payments.prove("att_1", REVOKED, fence=1)
    second = newest(payments, checkout)
    again = pay(payments, checkout, "att_9")
    other_order = pay(
        payments, checkout, "att_9", provider="mollie", account_id="pac_2", fallbacks=(Fallback("stripe", "pac_1"),)
    )
    for repeated in (again, other_order):
        assert isinstance(repeated, Repeated)
        assert repeated.checkout.attempt is not None
        assert repeated.checkout.attempt.id == second.id
    for changed in ({"fallbacks": ()}, {"fallbacks": FALLBACKS[1:]}, {"payment_method": "pm_1"}):
        assert isinstance(pay(payments, checkout, "att_9", **changed), PaymentInProgress)
    assert newest(payments, checkout) == second


def test_a_cancel_finds_the_payment_under_way_and_can_close_the_session_of_the_next_account(
    payments: Payments,
) -> None:
    checkout = paying(payments)
    payments.prove("att_1", UNREACHABLE, fence=1)
    assert isinstance(payments.cancel(checkout), InvalidState)
    second = newest(payments, checkout)
    payments.claim(provider="mollie")
    payments.prove(second.id, RequiresAction("ses_2", Redirect("https://mollie.example/pay")), fence=1)
    assert isinstance(payments.cancel(checkout), Repeated)
    payments.prove(second.id, Declined("session_expired"))
    assert payments.status(checkout) == "CANCELED"


def test_after_a_fallback_a_declined_checkout_is_paid_again_from_the_first_account_on(payments: Payments) -> None:
    checkout = paying(payments)
    payments.prove("att_1", REVOKED, fence=1)
    payments.prove(newest(payments, checkout).id, Declined("do_not_honor"))
    assert payments.status(checkout) == "FAILED"
    assert isinstance(pay(payments, checkout, "att_9"), Started)
    assert (newest(payments, checkout).account_id, payments.checkout(checkout).attempt_count) == ("pac_1", 2)


def test_what_changes_a_charge_goes_to_the_account_that_has_it_and_to_no_other(payments: Payments) -> None:
    checkout = paying(payments, manual=True)
    payments.prove("att_1", REVOKED, fence=1)
    payments.prove(newest(payments, checkout).id, Authorized("ch_2"))
    payments.capture(checkout, "att_5", 800)
    capture = payments.attempt("att_5")
    assert (capture.route, capture.fallbacks) == (ProviderRoute("mollie", "pac_2"), None)
    payments.claim(provider="mollie")
    payments.prove("att_5", REVOKED, fence=1)
    assert (payments.attempt("att_5").status, payments.status(checkout)) == ("DECLINED", "AUTHORIZED")


@pytest.mark.parametrize("wrong", [{"kind": "REFUND"}, {"kind": "CAPTURE"}, {"account_id": None}])
def test_the_database_refuses_fallbacks_of_anything_but_a_payment_with_an_account(
    payments: Payments, wrong: dict[str, str | None]
) -> None:
    paying(payments)
    with pytest.raises(IntegrityError, match="attempt_fallbacks"), payments.database.writes.begin() as connection:
        connection.execute(update(attempt_table).values(**wrong))


def test_only_what_was_never_sent_and_has_another_account_is_claimed_from_an_unhealthy_one(
    payments: Payments,
) -> None:
    waiting, sent, alone, elsewhere, due = (payments.create(name) for name in "abcde")
    pay(payments, waiting, "att_a")
    pay(payments, sent, "att_b")
    payments.record(evidence_about("att_b", Unknown("no answer"), fence=0))
    pay(payments, alone, "att_c", fallbacks=())
    pay(payments, elsewhere, "att_d", account_id="pac_3", fallbacks=FALLBACKS[:1])
    payments.now += 1  # The claim is in the order of time: what is due at the same instant comes in any order.
    pay(payments, due, "att_e")
    payments.now += 60_000

    def claim(limit: int) -> list[str]:
        wanted = ClaimAttempts("stripe", limit, LEASE_MS, unsent_of=("pac_1", "pac_9"))
        return [one.id for one in payments.do(claim_attempts, wanted)[0]]

    assert claim(1) == ["att_a"]
    assert claim(9) == ["att_e"]
    assert claim(9) == []
