"""The reducer: attempts that wait, for their buyer in a session or for an outcome that the provider tells later."""

import msgspec
import pytest

from paidonce.payments.model import (
    Attempt,
    AttemptKind,
    AttemptStatus,
    CloseReason,
)
from paidonce.payments.schedule import ACCEPTED_DELAYS_SECONDS
from paidonce.providers.evidence import (
    Accepted,
    Evidence,
    NotDone,
    NotFound,
    Opened,
    RequiresAction,
    Unknown,
)
from tests.unit.payments.reducer_examples import ACTION, DAY_SECONDS, NOW, attempt_in, decided, transition_on

WAITING = attempt_in(AttemptKind.CHARGE, AttemptStatus.REQUIRES_ACTION)
EXPIRED = msgspec.structs.replace(WAITING, session_expires_at=NOW)
TO_BE_CANCELED = msgspec.structs.replace(WAITING, close_reason=CloseReason.CANCELED)


@pytest.mark.parametrize(
    ("session_reference", "after"), [(None, AttemptStatus.DECLINED), ("ses_1", AttemptStatus.UNKNOWN)]
)
def test_no_effect_ends_an_attempt_that_was_sent_before_if_all_that_was_sent_was_to_open_its_session(
    session_reference: str | None, after: AttemptStatus
) -> None:
    taken_over = msgspec.structs.replace(
        attempt_in(AttemptKind.CHARGE, AttemptStatus.UNKNOWN),
        fence=3,
        return_url="https://pay.example/return/abc",
        session_reference=session_reference,
    )
    transition = decided(taken_over, NotDone("the currency is not supported", "currency_not_supported"))
    assert transition.status is after
    assert transition.reason == "the currency is not supported"
    assert transition.decline_code == ("currency_not_supported" if session_reference is None else None)


def test_a_session_that_waits_for_its_buyer_is_asked_about_ever_more_rarely_until_it_expires() -> None:
    delays = []
    for count in range(8):
        due_at = decided(msgspec.structs.replace(WAITING, lookup_count=count), RequiresAction("ses_1", ACTION)).due_at
        assert due_at is not None
        delays.append((due_at - NOW) // 1000)
    assert delays == [30, 60, 120, 300, 600, 600, 600, 600]
    soon = msgspec.structs.replace(WAITING, session_expires_at=NOW + 7000)
    assert decided(soon, RequiresAction("ses_1", ACTION)).due_at == NOW + 7000


@pytest.mark.parametrize("evidence", [Unknown("a 500"), NotFound(), NotDone("HTTP 429", retryable=True)])
def test_a_look_up_that_fails_takes_nothing_from_a_buyer_who_still_has_time(evidence: Evidence) -> None:
    transition = decided(WAITING, evidence)
    assert (transition.status, transition.action) == (AttemptStatus.REQUIRES_ACTION, WAITING.action)
    assert transition.due_at == NOW + 30_000


@pytest.mark.parametrize("attempt", [EXPIRED, TO_BE_CANCELED], ids=["expired", "to be canceled"])
@pytest.mark.parametrize("evidence", [Unknown("a 500"), RequiresAction("ses_1", ACTION), Opened("ses_1")])
def test_a_session_that_cannot_be_closed_is_an_unknown_outcome_and_not_the_buyer_s_business(
    attempt: Attempt, evidence: Evidence
) -> None:
    transition = decided(msgspec.structs.replace(attempt, lookup_count=9), evidence)
    assert (transition.status, transition.action) == (AttemptStatus.UNKNOWN, None)
    assert (transition.due_at, transition.lookup_count) == (NOW + 5000, 1)


def test_the_approval_of_a_buyer_makes_their_attempt_due_at_once() -> None:
    transition = decided(msgspec.structs.replace(WAITING, lookup_count=3), Opened("ses_1"))
    assert (transition.status, transition.due_at, transition.lookup_count) == (AttemptStatus.REQUIRES_ACTION, NOW, 3)


def test_an_accepted_operation_waits_for_a_month_and_then_for_a_person() -> None:
    accepted = attempt_in(AttemptKind.REFUND, AttemptStatus.UNKNOWN, lookup_count=5)
    first = decided(accepted, Accepted("re_1"))
    assert (first.status, first.provider_reference, first.lookup_count) == (AttemptStatus.ACCEPTED, "re_1", 1)
    waiting = attempt_in(AttemptKind.REFUND, AttemptStatus.ACCEPTED)
    total_ms = 0
    for count in range(len(ACCEPTED_DELAYS_SECONDS)):
        waits = msgspec.structs.replace(waiting, lookup_count=count)
        (due_at,) = {decided(waits, one).due_at for one in (Accepted(), Unknown("a 500"), NotFound())}
        assert due_at is not None
        total_ms += due_at - NOW
    assert 31 <= total_ms / 1000 / DAY_SECONDS < 32
    last = decided(msgspec.structs.replace(waiting, lookup_count=len(ACCEPTED_DELAYS_SECONDS)), Accepted())
    assert (last.status, last.reason) == (
        AttemptStatus.NEEDS_REVIEW,
        "the provider accepted the operation and has not reported its outcome",
    )


def test_a_capture_for_which_a_buyer_must_act_is_a_person_s_business() -> None:
    transition = transition_on(AttemptKind.CAPTURE, AttemptStatus.SENT, RequiresAction("ses_1", ACTION))
    assert transition is not None
    assert (transition.status, transition.reason) == (AttemptStatus.NEEDS_REVIEW, "the provider's session is open")
