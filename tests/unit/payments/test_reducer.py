"""The reducer: what each evidence does to each kind of attempt in each status. Without proof it only asks again."""

import itertools
from typing import get_args

import msgspec
import pytest
from hypothesis import given, strategies as st

from paidonce.checkouts.model import ALLOWED as CHECKOUT_ALLOWED, CheckoutStatus
from paidonce.payments.model import (
    ALLOWED,
    CHECKOUT_AFTER,
    FINAL,
    AttemptKind,
    AttemptStatus,
    Transition,
)
from paidonce.providers.evidence import (
    Accepted,
    Authorized,
    Declined,
    Evidence,
    NotDone,
    NotFound,
    Opened,
    OperationKind,
    RequiresAction,
    RequiresReview,
    Succeeded,
    Unknown,
)
from tests.unit.payments.reducer_examples import (
    CHANCE,
    EVIDENCE,
    EXAMPLES,
    KINDS,
    LOOKUPS,
    LOOKUPS_MAX,
    NO_PROOF,
    NOW,
    STATUSES,
    attempt_in,
    decided,
    status_after,
    transition_on,
)

MONEY_GOES_BACK = (AttemptKind.VOID, AttemptKind.REVERSAL)
OPERATIONS: dict[AttemptKind, OperationKind] = {
    AttemptKind.CHARGE: "charge",
    AttemptKind.AUTHORIZE: "charge",
    AttemptKind.CAPTURE: "capture",
    AttemptKind.VOID: "void",
    AttemptKind.REFUND: "refund",
    AttemptKind.REVERSAL: "refund",
}
# Whose success is never lost, however late its proof.
COUNTS_LATE = {AttemptKind.CHARGE, AttemptKind.AUTHORIZE, AttemptKind.CAPTURE, AttemptKind.REFUND}


def proven(kind: AttemptKind, evidence: Evidence) -> AttemptStatus | None:
    """The table of proofs: how evidence ends an attempt of this kind."""
    match evidence:
        case Succeeded():
            return AttemptStatus.SUCCEEDED
        case Authorized():
            return AttemptStatus.SUCCEEDED if kind is AttemptKind.AUTHORIZE else None
        case Declined():
            return None if kind in MONEY_GOES_BACK else AttemptStatus.DECLINED
        case NotDone(retryable=False):  # Nothing was sent before, in all examples here.
            return None if kind in MONEY_GOES_BACK else AttemptStatus.DECLINED
        case _:
            return None


def wanted(kind: AttemptKind, status: AttemptStatus, evidence: Evidence) -> AttemptStatus:
    """The table of everything else."""
    proof = proven(kind, evidence)
    if status is AttemptStatus.SUCCEEDED:
        return status
    if status is AttemptStatus.DECLINED:
        late = kind in COUNTS_LATE and proof is AttemptStatus.SUCCEEDED
        return AttemptStatus.SUCCEEDED if late else status
    if proof is not None:
        return proof
    if status is AttemptStatus.NEEDS_REVIEW:
        return status
    match evidence:
        case Accepted():
            return AttemptStatus.ACCEPTED
        case RequiresAction() if OPERATIONS[kind] == "charge":
            return AttemptStatus.REQUIRES_ACTION
        case Unknown() | NotFound() | NotDone() | Opened():
            # The buyer, or the provider, has time still.
            patient = status in (AttemptStatus.REQUIRES_ACTION, AttemptStatus.ACCEPTED)
            return status if patient else AttemptStatus.UNKNOWN
        case _:
            return AttemptStatus.NEEDS_REVIEW


@pytest.mark.parametrize("evidence", EXAMPLES, ids=lambda evidence: type(evidence).__name__)
@pytest.mark.parametrize("status", AttemptStatus)
@pytest.mark.parametrize("kind", AttemptKind)
def test_every_evidence_is_decided_for_every_kind_in_every_status(
    kind: AttemptKind, status: AttemptStatus, evidence: Evidence
) -> None:
    after = status_after(kind, status, evidence)
    assert after == wanted(kind, status, evidence)
    assert after == status or after in ALLOWED[status]


def test_no_kind_of_evidence_is_missing_here() -> None:
    assert {type(evidence) for evidence in EXAMPLES} == set(Evidence.__args__)


@given(KINDS, LOOKUPS, EVIDENCE)
def test_success_is_final(kind: AttemptKind, lookup_count: int, evidence: Evidence) -> None:
    assert transition_on(kind, AttemptStatus.SUCCEEDED, evidence, lookup_count) is None


@given(KINDS, LOOKUPS, EVIDENCE)
def test_only_the_proof_that_money_moved_or_is_held_outranks_a_decline(
    kind: AttemptKind, lookup_count: int, evidence: Evidence
) -> None:
    outranked = transition_on(kind, AttemptStatus.DECLINED, evidence, lookup_count) is not None
    assert outranked == (kind in COUNTS_LATE and proven(kind, evidence) is AttemptStatus.SUCCEEDED)


@given(KINDS, STATUSES, LOOKUPS, EVIDENCE)
def test_the_same_proof_twice_is_proof_once(
    kind: AttemptKind, status: AttemptStatus, lookup_count: int, evidence: Evidence
) -> None:
    after = status_after(kind, status, evidence, lookup_count)
    if proven(kind, evidence) is not None:
        assert after in FINAL
        assert transition_on(kind, after, evidence, lookup_count) is None


@given(KINDS, STATUSES.filter(lambda status: status not in FINAL), LOOKUPS, NO_PROOF, CHANCE)
def test_what_is_no_proof_never_ends_an_attempt(
    kind: AttemptKind, status: AttemptStatus, lookup_count: int, evidence: Evidence, chance: float
) -> None:
    transition = transition_on(kind, status, evidence, lookup_count, chance)
    if transition is not None:
        assert transition.status not in FINAL
        assert transition.decline_code is None
        assert (transition.due_at is None) == (transition.status is AttemptStatus.NEEDS_REVIEW)
        assert (transition.action is None) == (transition.status is not AttemptStatus.REQUIRES_ACTION)
        assert transition.reason or transition.status in (AttemptStatus.REQUIRES_ACTION, AttemptStatus.ACCEPTED)


@given(KINDS, STATUSES, LOOKUPS, EVIDENCE, CHANCE)
def test_the_reducer_is_a_function_of_what_it_is_given(
    kind: AttemptKind, status: AttemptStatus, lookup_count: int, evidence: Evidence, chance: float
) -> None:
    assert transition_on(kind, status, evidence, lookup_count, chance) == transition_on(
        kind, status, evidence, lookup_count, chance
    )


@given(KINDS, st.permutations(EXAMPLES))
def test_a_success_is_never_lost_whatever_comes_before_or_after_it(kind: AttemptKind, told: list[Evidence]) -> None:
    said = [one for one in told if kind in COUNTS_LATE or not isinstance(one, Declined | NotDone)]
    status, lookup_count = AttemptStatus.SENT, 0
    for evidence in said:
        transition = transition_on(kind, status, evidence, lookup_count)
        if transition is not None:
            status, lookup_count = transition.status, transition.lookup_count
    assert status is AttemptStatus.SUCCEEDED


@pytest.mark.parametrize("proof", [Succeeded, Authorized])
@pytest.mark.parametrize("status", [status for status in AttemptStatus if status not in FINAL])
@pytest.mark.parametrize("kind", AttemptKind)
def test_proof_of_other_money_than_was_asked_for_ends_nothing_and_a_person_must_look(
    kind: AttemptKind, status: AttemptStatus, proof: type[Succeeded | Authorized]
) -> None:
    for other in (proof("ch_9", 999, "USD"), proof("ch_9", 1000, "EUR"), proof("ch_9", amount=1001)):
        transition = transition_on(kind, status, other)
        assert (transition.status if transition else status) is AttemptStatus.NEEDS_REVIEW
        told = f"the provider reported {other.amount or 1000} {other.currency or 'USD'}; 1000 USD was requested"
        assert transition is None or transition.reason == told
        assert transition_on(kind, AttemptStatus.DECLINED, other) is None
    for same in (proof("ch_9", 1000, "USD"), proof("ch_9", amount=1000), proof("ch_9", currency="USD")):
        assert status_after(kind, status, same) is status_after(kind, status, proof("ch_9"))


@pytest.mark.parametrize("operation", get_args(OperationKind))
@pytest.mark.parametrize("kind", AttemptKind)
def test_evidence_of_another_operation_than_was_asked_for_proves_nothing_and_a_person_must_look(
    kind: AttemptKind, operation: OperationKind
) -> None:
    told: list[Evidence] = [
        Succeeded("ch_9", 1000, "USD", operation),
        Authorized("ch_9", 1000, "USD", operation),
        Declined("expired_card", "ch_9", operation),
    ]
    untold: list[Evidence] = [Succeeded("ch_9"), Authorized("ch_9"), Declined("expired_card", "ch_9")]
    for evidence, same in zip(told, untold, strict=True):
        for status in AttemptStatus:
            transition = transition_on(kind, status, evidence)
            if operation == OPERATIONS[kind]:
                assert transition == transition_on(kind, status, same)
            elif status in FINAL or status is AttemptStatus.NEEDS_REVIEW:
                assert transition is None
            else:
                reason = f"the provider reported a {operation}; a {OPERATIONS[kind]} was requested"
                assert transition == Transition(AttemptStatus.NEEDS_REVIEW, reason=reason)


@pytest.mark.parametrize(
    ("kind", "evidence", "reason"),
    [
        (AttemptKind.CHARGE, Unknown("the provider answered 500"), "the provider answered 500"),
        (AttemptKind.CHARGE, RequiresReview("a dispute"), "a dispute"),
        (AttemptKind.CHARGE, NotFound(), "the provider does not know the operation yet"),
        (AttemptKind.CHARGE, Authorized("ch_9"), "the provider holds money that it was requested to move"),
        (AttemptKind.VOID, Declined("captured"), "the provider declined to return the money: captured"),
    ],
)
def test_evidence_that_is_no_proof_states_its_reason(kind: AttemptKind, evidence: Evidence, reason: str) -> None:
    transition = transition_on(kind, AttemptStatus.SENT, evidence)
    assert transition is not None
    assert transition.reason == reason


def test_when_the_look_ups_are_used_up_a_person_must_look() -> None:
    charge, unknown = AttemptKind.CHARGE, AttemptStatus.UNKNOWN
    assert status_after(charge, unknown, Unknown("?"), LOOKUPS_MAX - 1) is AttemptStatus.UNKNOWN
    used_up = Transition(AttemptStatus.NEEDS_REVIEW, lookup_count=LOOKUPS_MAX, reason="?")
    assert transition_on(charge, unknown, Unknown("?"), LOOKUPS_MAX) == used_up
    assert status_after(charge, unknown, Succeeded("ch_9"), LOOKUPS_MAX) is AttemptStatus.SUCCEEDED


def test_every_proof_of_what_passes_through_processing_leads_the_checkout_on_from_there() -> None:
    passing = {AttemptKind.CHARGE, AttemptKind.AUTHORIZE, AttemptKind.CAPTURE}
    assert set(CHECKOUT_AFTER) == set(itertools.product(passing, FINAL))
    assert set(CHECKOUT_AFTER.values()) <= CHECKOUT_ALLOWED[CheckoutStatus.PROCESSING]


@pytest.mark.parametrize(("fence", "asked_first"), [(0, False), (1, False), (2, True), (9, True)])
def test_whoever_takes_an_attempt_over_asks_before_sending(fence: int, *, asked_first: bool) -> None:
    attempt = msgspec.structs.replace(attempt_in(AttemptKind.CHARGE, AttemptStatus.SENT), fence=fence)
    assert attempt.may_have_been_sent is asked_first


def test_no_effect_after_a_call_that_may_have_been_sent_ends_nothing() -> None:
    taken_over = msgspec.structs.replace(attempt_in(AttemptKind.CHARGE, AttemptStatus.SENT), fence=2)
    refused = NotDone("the key is revoked", "provider_refused")
    assert decided(taken_over, refused).status is AttemptStatus.UNKNOWN
    assert decided(msgspec.structs.replace(taken_over, fence=1), refused).status is AttemptStatus.DECLINED


def test_a_call_that_may_succeed_later_ends_nothing() -> None:
    transition = transition_on(AttemptKind.CHARGE, AttemptStatus.SENT, NotDone("HTTP 429", retryable=True))
    assert transition == Transition(AttemptStatus.UNKNOWN, due_at=NOW + 5000, lookup_count=1, reason="HTTP 429")


def test_a_decline_keeps_the_provider_s_own_code() -> None:
    transition = transition_on(AttemptKind.CHARGE, AttemptStatus.SENT, Declined("do_not_honor", raw_code="05"))
    assert transition is not None
    assert (transition.decline_code, transition.raw_decline_code) == ("do_not_honor", "05")
