"""Attempts and evidence for the tests of the reducer."""

from hypothesis import strategies as st

from paidonce.payments.model import (
    FINAL,
    Attempt,
    AttemptKind,
    AttemptStatus,
    Transition,
)
from paidonce.payments.reducer import decide
from paidonce.payments.schedule import LOOKUP_DELAYS_SECONDS, LookupSchedule
from paidonce.providers.evidence import (
    Accepted,
    Authorized,
    Declined,
    Evidence,
    NotDone,
    NotFound,
    Opened,
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


def decided(attempt: Attempt, evidence: Evidence) -> Transition:
    transition = decide(attempt, evidence, now=NOW, schedule=SCHEDULE, chance=0.5)
    assert transition is not None
    return transition
