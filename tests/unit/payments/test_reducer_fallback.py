"""The reducer: which evidence lets a payment continue with another account, and which never does."""

import msgspec
import pytest

from paidonce.payments.model import (
    Attempt,
    AttemptKind,
    AttemptStatus,
    Fallback,
    Transition,
    encode_fallbacks,
)
from paidonce.payments.reducer import decide
from paidonce.providers.evidence import Evidence, NotDone
from tests.unit.payments.reducer_examples import EXAMPLES, NOW, SCHEDULE, attempt_in, decided

FALLBACKS = (Fallback("mollie", "pac_2", "https://pay.example/return/2"), Fallback("stripe", "pac_3"))
WITHOUT_EFFECT = [NotDone("the key is revoked", "provider_refused"), NotDone("nobody listens", retryable=True)]


def continuing(kind: AttemptKind, status: AttemptStatus, **changed: object) -> Attempt:
    fields = {"account_id": "pac_1", "fallbacks": encode_fallbacks(FALLBACKS), **changed}
    return msgspec.structs.replace(attempt_in(kind, status), **fields)


@pytest.mark.parametrize("evidence", WITHOUT_EFFECT)
@pytest.mark.parametrize("status", [AttemptStatus.READY, AttemptStatus.SENT])
@pytest.mark.parametrize("kind", [AttemptKind.CHARGE, AttemptKind.AUTHORIZE])
def test_a_payment_whose_first_call_had_no_effect_continues_with_the_next_account(
    kind: AttemptKind, status: AttemptStatus, evidence: NotDone
) -> None:
    assert decided(continuing(kind, status), evidence) == Transition(
        AttemptStatus.DECLINED, decline_code=evidence.code, reason=evidence.reason, fallback=FALLBACKS[0]
    )


@pytest.mark.parametrize("status", AttemptStatus)
@pytest.mark.parametrize("evidence", [*EXAMPLES, *WITHOUT_EFFECT], ids=str)
def test_nothing_else_lets_a_payment_continue_with_another_account(status: AttemptStatus, evidence: Evidence) -> None:
    attempt = continuing(AttemptKind.CHARGE, status)
    alone = msgspec.structs.replace(attempt, fallbacks=None)
    if isinstance(evidence, NotDone) and status in (AttemptStatus.READY, AttemptStatus.SENT):
        return
    transitions = [decide(one, evidence, now=NOW, schedule=SCHEDULE, chance=0.5) for one in (attempt, alone)]
    assert transitions[0] == transitions[1]


@pytest.mark.parametrize("evidence", WITHOUT_EFFECT)
@pytest.mark.parametrize(
    "before",
    [
        {"fence": 2},
        {"fence": 2, "return_url": "https://pay.example/return/1", "session_reference": "ses_1"},
        {"return_url": "https://pay.example/return/1", "session_expires_at": NOW},
        {"fallbacks": None},
    ],
    ids=str,
)
def test_a_payment_that_may_have_begun_or_whose_time_is_over_does_not_continue_with_another_account(
    before: dict[str, object], evidence: NotDone
) -> None:
    assert decided(continuing(AttemptKind.CHARGE, AttemptStatus.SENT, **before), evidence).fallback is None


def test_a_session_that_nobody_has_seen_is_no_beginning_of_a_payment() -> None:
    unseen = continuing(AttemptKind.CHARGE, AttemptStatus.SENT, fence=2, return_url="https://pay.example/return/1")
    assert decided(unseen, WITHOUT_EFFECT[0]).fallback == FALLBACKS[0]
    asked_again = msgspec.structs.replace(unseen, status=AttemptStatus.UNKNOWN, lookup_count=1)
    assert decided(asked_again, WITHOUT_EFFECT[0]).fallback is None
