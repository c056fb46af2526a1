"""The reducer: what each evidence does to each kind of attempt in each state. Without proof it only asks again."""

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
    Attempt,
    AttemptKind,
    AttemptStatus,
    CloseReason,
    Transition,
)
from paidonce.payments.reducer import decide
from paidonce.payments.schedule import ACCEPTED_DELAYS_SECONDS, LOOKUP_DELAYS_SECONDS, LookupSchedule
from paidonce.providers.evidence import (
    Accepted,
    Authorized,
    Declined,
    Evidence,
    NotDone,
    NotFound,
    Opened,
    OperationKind,
    Redirect,
    RequiresAction,
    RequiresReview,
    Succeeded,
    Unknown,
    encode_action,
)

NOW = 1_767_323_045_678
SCHEDULE = LookupSchedule()
LOOKUPS_MAX = len(LOOKUP_DELAYS_SECONDS)
DAY_SECONDS = 86_400
MONEY_GOES_BACK = (AttemptKind.VOID, AttemptKind.REVERSAL)

KINDS = st.sampled_from(AttemptKind)
STATUSES = st.sampled_from(AttemptStatus)
LOOKUPS = st.integers(min_value=0, max_value=LOOKUPS_MAX)
CHANCE = st.floats(min_value=0, max_value=1, exclude_max=True)
ACTION = Redirect("https://provider.example/pay/ses_1", NOW + 600_000)
NO_PROOF: st.SearchStrategy[Evidence] = st.one_of(
    st.builds(Unknown, st.text(min_size=1)),
    st.just(NotFound()),
    st.builds(RequiresReview, st.text(min_size=1)),
    st.builds(NotDone, st.text(min_size=1), retryable=st.just(value=True)),
    st.builds(Accepted, st.none() | st.text(min_size=1)),
    st.just(Opened("ses_1")),
    st.just(RequiresAction("ses_1", ACTION)),
)
EVIDENCE: st.SearchStrategy[Evidence] = NO_PROOF | st.one_of(
    st.builds(Succeeded, st.text(min_size=1)),
    st.builds(Authorized, st.text(min_size=1)),
    st.builds(Declined, st.text(min_size=1), st.none() | st.text(min_size=1)),
)
EXAMPLES: list[Evidence] = [
    Succeeded("ch_9"),
    Authorized("ch_9"),
    Declined("expired_card", "ch_9"),
    Unknown("the provider answered 500"),
    NotFound(),
    RequiresReview("the provider reported a dispute"),
    Opened("ses_1"),
    RequiresAction("ses_1", ACTION),
    Accepted("re_1"),
    NotDone("the currency is not supported", "currency_not_supported"),
]

OPERATIONS: dict[AttemptKind, OperationKind] = {
    AttemptKind.CHARGE: "charge",
    AttemptKind.AUTHORIZE: "charge",
    AttemptKind.CAPTURE: "capture",
    AttemptKind.VOID: "void",
    AttemptKind.REFUND: "refund",
    AttemptKind.REVERSAL: "refund",
}

# Whose success is never lost, however late its proof.
MOVES_MONEY = {AttemptKind.CHARGE, AttemptKind.CAPTURE, AttemptKind.REFUND}


def attempt_in(kind: AttemptKind, status: AttemptStatus, lookup_count: int = 0) -> Attempt:
    settled = status in FINAL
    waits = status is AttemptStatus.REQUIRES_ACTION
    return Attempt(
        id="att_1",
        merchant_id="m123",
        mode="test",
        checkout_id="chk_1",
        kind=kind,
        status=status,
        provider="simulator",
        provider_key="att_1",
        payment_method="tok_success",
        amount=1000,
        currency="USD",
        due_at=None if settled or status is AttemptStatus.NEEDS_REVIEW else NOW + 1,
        fence=0 if status is AttemptStatus.READY else 1,
        lookup_count=lookup_count,
        provider_reference="ch_1" if settled else None,
        decline_code="do_not_honor" if status is AttemptStatus.DECLINED else None,
        charge_reference=None,
        reason=None,
        created_at=NOW - 1000,
        updated_at=NOW - 1000,
        settled_at=NOW - 1 if settled else None,
        session_reference="ses_1" if waits else None,
        session_expires_at=NOW + 3_600_000 if waits else None,
        action=encode_action(ACTION) if waits else None,
    )


def transition_on(
    kind: AttemptKind, status: AttemptStatus, evidence: Evidence, lookup_count: int = 0, chance: float = 0.5
) -> Transition | None:
    attempt = attempt_in(kind, status, lookup_count)
    return decide(attempt, evidence, now=NOW, schedule=SCHEDULE, chance=chance)


def status_after(kind: AttemptKind, status: AttemptStatus, evidence: Evidence, lookup_count: int = 0) -> AttemptStatus:
    transition = transition_on(kind, status, evidence, lookup_count)
    return status if transition is None else transition.status


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
        late = kind in MOVES_MONEY and proof is AttemptStatus.SUCCEEDED
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
def test_only_the_proof_that_money_moved_outranks_a_decline(
    kind: AttemptKind, lookup_count: int, evidence: Evidence
) -> None:
    outranked = transition_on(kind, AttemptStatus.DECLINED, evidence, lookup_count) is not None
    assert outranked == (kind in MOVES_MONEY and isinstance(evidence, Succeeded))


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
    said = [one for one in told if kind in MOVES_MONEY or not isinstance(one, Declined | NotDone)]
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


@given(CHANCE, st.floats(min_value=0.01, max_value=3600))
def test_an_unknown_outcome_is_asked_about_ever_more_rarely_and_not_for_ever(chance: float, first: float) -> None:
    schedule = LookupSchedule(first_seconds=first)
    due = [schedule.next_due_at(NOW, count, chance) for count in range(LOOKUPS_MAX)]
    delays = [instant - NOW for instant in due if instant is not None]
    assert len(delays) == LOOKUPS_MAX
    assert delays == sorted(delays)
    assert delays[0] >= 1
    assert delays[-1] <= 1.1 * DAY_SECONDS * 1000 * first / 5 + 1
    assert schedule.next_due_at(NOW, LOOKUPS_MAX, chance) is None


@given(LOOKUPS.filter(lambda count: count < LOOKUPS_MAX), CHANCE)
def test_chance_moves_a_look_up_by_a_tenth_at_the_most(lookup_count: int, chance: float) -> None:
    due = SCHEDULE.next_due_at(NOW, lookup_count, chance)
    assert due is not None
    assert abs((due - NOW) / 1000 / LOOKUP_DELAYS_SECONDS[lookup_count] - 1) <= 0.1 + 1e-6
    spread = [SCHEDULE.next_due_at(NOW, lookup_count, one) for one in (0.0, 0.5, 1.0)]
    delay_ms = LOOKUP_DELAYS_SECONDS[lookup_count] * 1000
    assert spread == [NOW + round(delay_ms * factor) for factor in (0.9, 1.0, 1.1)]


def test_a_look_up_is_due_a_millisecond_later_at_the_earliest() -> None:
    assert LookupSchedule(first_seconds=1e-9).next_due_at(NOW, 0, 0.5) == NOW + 1


def test_the_first_look_ups_come_within_minutes_and_the_last_after_a_month() -> None:
    assert LOOKUP_DELAYS_SECONDS[:5] == (5, 30, 120, 600, 3600)
    assert 30 <= sum(LOOKUP_DELAYS_SECONDS) / DAY_SECONDS <= 32


def test_every_proof_of_what_passes_through_processing_leads_the_checkout_on_from_there() -> None:
    passing = {AttemptKind.CHARGE, AttemptKind.AUTHORIZE, AttemptKind.CAPTURE}
    assert set(CHECKOUT_AFTER) == set(itertools.product(passing, FINAL))
    assert set(CHECKOUT_AFTER.values()) <= CHECKOUT_ALLOWED[CheckoutStatus.PROCESSING]


@pytest.mark.parametrize(("fence", "asked_first"), [(0, False), (1, False), (2, True), (9, True)])
def test_whoever_takes_an_attempt_over_asks_before_sending(fence: int, *, asked_first: bool) -> None:
    attempt = msgspec.structs.replace(attempt_in(AttemptKind.CHARGE, AttemptStatus.SENT), fence=fence)
    assert attempt.may_have_been_sent is asked_first


WAITING = attempt_in(AttemptKind.CHARGE, AttemptStatus.REQUIRES_ACTION)
EXPIRED = msgspec.structs.replace(WAITING, session_expires_at=NOW)
TO_BE_CANCELED = msgspec.structs.replace(WAITING, close_reason=CloseReason.CANCELED)


def decided(attempt: Attempt, evidence: Evidence) -> Transition:
    transition = decide(attempt, evidence, now=NOW, schedule=SCHEDULE, chance=0.5)
    assert transition is not None
    return transition


def test_no_effect_after_a_call_that_may_have_been_sent_ends_nothing() -> None:
    taken_over = msgspec.structs.replace(attempt_in(AttemptKind.CHARGE, AttemptStatus.SENT), fence=2)
    refused = NotDone("the key is revoked", "provider_refused")
    assert decided(taken_over, refused).status is AttemptStatus.UNKNOWN
    assert decided(msgspec.structs.replace(taken_over, fence=1), refused).status is AttemptStatus.DECLINED


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


def test_a_call_that_may_succeed_later_ends_nothing() -> None:
    transition = transition_on(AttemptKind.CHARGE, AttemptStatus.SENT, NotDone("HTTP 429", retryable=True))
    assert transition == Transition(AttemptStatus.UNKNOWN, due_at=NOW + 5000, lookup_count=1, reason="HTTP 429")


def test_a_decline_keeps_the_provider_s_own_code() -> None:
    transition = transition_on(AttemptKind.CHARGE, AttemptStatus.SENT, Declined("do_not_honor", raw_code="05"))
    assert transition is not None
    assert (transition.decline_code, transition.raw_decline_code) == ("do_not_honor", "05")


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
    assert 30 <= total_ms / 1000 / DAY_SECONDS <= 33
    last = decided(msgspec.structs.replace(waiting, lookup_count=len(ACCEPTED_DELAYS_SECONDS)), Accepted())
    assert (last.status, last.reason) == (
        AttemptStatus.NEEDS_REVIEW,
        "the provider accepted the operation and has not reported its outcome",
    )


def test_a_capture_for_which_a_buyer_must_act_is_a_person_s_business() -> None:
    transition = transition_on(AttemptKind.CAPTURE, AttemptStatus.SENT, RequiresAction("ses_1", ACTION))
    assert transition is not None
    assert (transition.status, transition.reason) == (AttemptStatus.NEEDS_REVIEW, "the provider's session is open")
