"""What every transition has, whatever leads to it: when the provider is asked again, or why a person must ask."""

import itertools

import msgspec
import pytest

from paidonce.payments.model import FINAL, AttemptKind, AttemptStatus, Transition
from paidonce.payments.schedule import ACCEPTED_DELAYS_SECONDS
from paidonce.providers.evidence import Accepted, Declined, Evidence
from tests.unit.payments.reducer_examples import EXAMPLES, NOW, attempt_in, decided, transition_on

COUNTS = (0, 1, 1000)  # Of look-ups: at first, later, and when they are used up.


@pytest.mark.parametrize("evidence", EXAMPLES, ids=lambda evidence: type(evidence).__name__)
def test_what_stays_open_is_due_and_counted_and_what_a_person_must_see_has_its_reason(evidence: Evidence) -> None:
    for kind, status, count in itertools.product(AttemptKind, AttemptStatus, COUNTS):
        transition = transition_on(kind, status, evidence, count)
        if transition is None:
            continue
        case = (kind, status, count, transition)
        is_open = transition.status not in FINAL and transition.status is not AttemptStatus.NEEDS_REVIEW
        assert (transition.due_at is not None) is is_open, case
        if is_open:
            assert transition.due_at is not None
            assert transition.due_at >= NOW, case
            assert transition.lookup_count in {1, count, count + 1}, case
        elif transition.status is AttemptStatus.NEEDS_REVIEW:
            assert transition.reason, case
            assert transition.lookup_count in {0, count}, case
        if isinstance(evidence, Declined) and transition.status is AttemptStatus.DECLINED:
            assert transition.decline_code == evidence.code, case


def test_an_operation_that_is_accepted_for_longer_than_the_provider_is_asked_is_shown_to_a_person() -> None:
    asked = len(ACCEPTED_DELAYS_SECONDS)
    still = transition_on(AttemptKind.REFUND, AttemptStatus.ACCEPTED, Accepted("re_1"), asked - 1)
    assert still is not None
    assert (still.status, still.lookup_count, still.provider_reference) == (AttemptStatus.ACCEPTED, asked, "re_1")
    assert transition_on(AttemptKind.REFUND, AttemptStatus.ACCEPTED, Accepted("re_1"), asked) == Transition(
        AttemptStatus.NEEDS_REVIEW,
        lookup_count=asked,
        reason="the provider accepted the operation and has not reported its outcome",
    )


@pytest.mark.parametrize(
    ("kind", "status", "reason", "lookup_count"),
    [
        (AttemptKind.REFUND, AttemptStatus.DECLINED, None, 0),
        (AttemptKind.REVERSAL, AttemptStatus.NEEDS_REVIEW, "the refund failed after it had succeeded: expired_card", 3),
    ],
)
def test_a_refund_that_fails_after_it_succeeded_has_failed_and_a_reversal_is_shown_to_a_person(
    kind: AttemptKind, status: AttemptStatus, reason: str | None, lookup_count: int
) -> None:
    succeeded = msgspec.structs.replace(attempt_in(kind, AttemptStatus.SUCCEEDED, 3), provider_reference="re_1")
    transition = decided(succeeded, Declined("expired_card", "re_1"))
    assert (transition.status, transition.reason, transition.lookup_count) == (status, reason, lookup_count)
