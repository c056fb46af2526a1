"""Acknowledgements compared with rows: an acknowledgement that is not kept is found and named."""

from types import SimpleNamespace
from typing import Any

import pytest

from paidonce.proving.oracle import Acknowledged, Rule, Violation, find_violations
from paidonce.proving.snapshot import Change, Charge, Snapshot
from paidonce.proving.violations import sort_violations


def row(**columns: object) -> Any:  # noqa: ANN401 - a row
    return SimpleNamespace(**columns)


CHECKOUT = row(
    id="chk_1",
    merchant_id="m",
    mode="test",
    idempotency_key="k",
    status="CANCELED",
    amount=1000,
    currency="USD",
    amount_captured=0,
    amount_refunded=0,
    amount_refund_pending=0,
    attempt_count=1,
)
ATTEMPT = row(
    id="att_1",
    checkout_id="chk_1",
    merchant_id="m",
    mode="test",
    account_id=None,
    provider="simulator",
    kind="CHARGE",
    status="DECLINED",
    provider_key="att_1",
    payment_method="tok_success",
    settled_at=2,
)
EVENTS = [
    row(
        id=f"evt_{number}",
        merchant_id="m",
        mode="test",
        sequence=number,
        checkout_id="chk_1",
        attempt_id=attempt_id,
        type=f"checkout.{kind}",
    )
    for number, (kind, attempt_id) in enumerate(
        [("created", None), ("processing", "att_1"), ("failed", "att_1"), ("canceled", None)], start=1
    )
]
SNAPSHOT = Snapshot([CHECKOUT], [ATTEMPT], EVENTS, [row(id="m", event_sequence=4, live_event_sequence=0)])


def test_what_was_acknowledged_and_is_kept_breaks_no_rule() -> None:
    checkout = Acknowledged(checkout_id="chk_1", idempotency_key="k", merchant_id="m", amount=1000, status="CANCELED")
    attempt = Acknowledged(attempt_id="att_1", attempt_status="DECLINED")
    # Only what is final stays as it was told.
    passing = Acknowledged(checkout_id="chk_1", status="FAILED")
    assert find_violations(SNAPSHOT, [checkout, attempt, passing]) == []


@pytest.mark.parametrize(
    ("fact", "rule"),
    [
        (Acknowledged(checkout_id="chk_2"), Rule.NOTHING_IS_LOST),
        (Acknowledged(checkout_id="chk_1", status="COMPLETED"), Rule.NOTHING_IS_LOST),
        (Acknowledged(checkout_id="chk_1", idempotency_key="another"), Rule.ONE_KEY_ONE_CHECKOUT),
        (Acknowledged(checkout_id="chk_1", merchant_id="another"), Rule.SAME_TERMS),
        (Acknowledged(checkout_id="chk_1", amount=999), Rule.SAME_TERMS),
        (Acknowledged(attempt_id="att_2"), Rule.NOTHING_IS_LOST),
        (Acknowledged(attempt_id="att_1", attempt_status="SUCCEEDED"), Rule.NOTHING_IS_LOST),
    ],
)
def test_what_was_acknowledged_and_is_not_kept_is_found(fact: Acknowledged, rule: Rule) -> None:
    assert [one.rule for one in find_violations(SNAPSHOT, [fact])] == [rule]


def test_an_attempt_that_continues_a_payment_counts_as_no_other_try_of_the_buyer() -> None:
    kinds = ["created", "processing", "declined", "started", "failed", "canceled"]
    things = ["checkout", "checkout", "attempt", "attempt", "checkout", "checkout"]
    attempt_ids = [None, "att_0", "att_0", "att_1", "att_1", None]
    events = [
        row(
            id=f"evt_{number}",
            merchant_id="m",
            mode="test",
            sequence=number,
            checkout_id="chk_1",
            attempt_id=attempt_id,
            type=f"{thing}.{kind}",
        )
        for number, (thing, kind, attempt_id) in enumerate(zip(things, kinds, attempt_ids, strict=True), start=1)
    ]
    first = row(**{**vars(ATTEMPT), "id": "att_0", "provider_key": "att_0"})
    merchants = [row(id="m", event_sequence=6, live_event_sequence=0)]
    snapshot = SNAPSHOT._replace(attempts=[first, ATTEMPT], events=events, merchants=merchants)
    assert find_violations(snapshot) == []
    begun_twice = [
        row(**{**vars(one), "type": one.type.replace("attempt.started", "checkout.processing")}) for one in events
    ]
    assert any(
        "counts 1 attempts and has 2" in one.what for one in find_violations(snapshot._replace(events=begun_twice))
    )


def test_a_payment_in_review_has_not_ended_where_none_may_need_review() -> None:
    in_review = Snapshot([], [row(**{**vars(ATTEMPT), "status": "NEEDS_REVIEW", "settled_at": None})], EVENTS, [])
    assert find_violations(in_review) == []
    assert [one.rule for one in find_violations(in_review, may_need_review=False)] == [Rule.EVERYTHING_ENDS]


def test_a_webhook_that_is_not_applied_has_not_ended_where_none_may_need_review() -> None:
    failed = SNAPSHOT._replace(webhooks=[row(provider="stripe/pac_1", id="evt_9", result="FAILED")])
    assert find_violations(failed) == []
    assert [one.what for one in find_violations(failed, may_need_review=False)] == [
        "the webhook evt_9 of stripe/pac_1 is not applied: FAILED"
    ]
    assert find_violations(failed, ended=False, may_need_review=False) == []


@pytest.mark.parametrize("status", ["SENT", "REQUIRES_ACTION", "ACCEPTED", "UNKNOWN"])
def test_a_payment_that_waits_for_its_buyer_or_its_provider_has_not_ended(status: str) -> None:
    waiting = Snapshot([], [row(**{**vars(ATTEMPT), "status": status, "settled_at": None})], EVENTS, [])
    assert [one.rule for one in find_violations(waiting)] == [Rule.EVERYTHING_ENDS]
    assert find_violations(waiting, ended=False) == []


COMPLETED = row(**{**vars(CHECKOUT), "status": "COMPLETED", "amount_captured": 1000, "amount_refunded": 400})
CHARGED = row(**{**vars(ATTEMPT), "status": "SUCCEEDED", "created_at": 1, "amount": 1000})
RECORDED = row(
    **{
        **vars(CHARGED),
        "id": "ref_1",
        "kind": "REFUND",
        "provider_key": "ref_1",
        "provider_reference": "re_1",
        "initiated_by": "provider",
        "amount": 400,
    }
)
CHARGE = Charge("att_1", "ch_1", "chk_1", "m", 1000, "USD", "succeeded", None, 1000, 400, 2)
REFUNDED = Change("dashboard_1", "re_1", "ch_1", "REFUND", 400, None, 3)
COMPLETED_EVENTS = [
    row(
        id=f"evt_{number}",
        merchant_id="m",
        mode="test",
        sequence=number,
        checkout_id="chk_1",
        attempt_id=attempt_id,
        type=kind,
    )
    for number, (kind, attempt_id) in enumerate(
        [
            ("checkout.created", None),
            ("checkout.processing", "att_1"),
            ("checkout.completed", "att_1"),
            ("refund.created", "ref_1"),
            ("refund.succeeded", "ref_1"),
        ],
        start=1,
    )
]


def dashboard(checkout: Any, attempts: list[Any], changes: list[Change], events: int = 5) -> Snapshot:  # noqa: ANN401
    return Snapshot(
        [checkout],
        attempts,
        COMPLETED_EVENTS[:events],
        [row(id="m", event_sequence=events, live_event_sequence=0)],
        [CHARGE],
        changes,
    )


def test_a_refund_of_the_dashboard_needs_no_intent_and_must_be_recorded_in_the_end() -> None:
    assert find_violations(dashboard(COMPLETED, [CHARGED, RECORDED], [REFUNDED])) == []
    unrecorded = dashboard(row(**{**vars(COMPLETED), "amount_refunded": 0}), [CHARGED], [REFUNDED], 3)
    assert find_violations(unrecorded, ended=False) == []
    assert [one.rule for one in find_violations(unrecorded)] == [Rule.REFUNDS_ARE_COVERED]


@pytest.mark.parametrize(
    "changes",
    [[], [REFUNDED._replace(amount=300)], [REFUNDED._replace(decline_code="expired_card")]],
    ids=["not in the books", "another amount", "failed"],
)
def test_a_recorded_refund_that_is_not_in_the_books_is_found(changes: list[Change]) -> None:
    found = find_violations(dashboard(COMPLETED, [CHARGED, RECORDED], changes))
    assert Rule.REFUNDS_ARE_COVERED in {one.rule for one in found}


@pytest.mark.parametrize(("status", "rules"), [("voided", []), ("authorized", [Rule.ENDED_WITHOUT_MONEY])])
def test_an_authorization_that_was_reversed_is_not_held_any_more(status: str, rules: list[Rule]) -> None:
    late = row(**{**vars(CHARGED), "kind": "AUTHORIZE"})
    reversal = row(
        **{
            **vars(CHARGED),
            "id": "att_2",
            "kind": "REVERSAL",
            "provider_key": "att_2",
            "charge_reference": "ch_1",
        }
    )
    held = CHARGE._replace(status=status, amount_captured=0, amount_refunded=0)
    told = ["checkout.created", "checkout.processing", "checkout.failed", "checkout.canceled"]
    told += ["refund.created", "refund.succeeded"]
    of = [None, "att_1", "att_1", None, "att_2", "att_2"]
    events = [
        row(**{**vars(EVENTS[0]), "id": f"evt_{number}", "sequence": number, "type": kind, "attempt_id": attempt_id})
        for number, (kind, attempt_id) in enumerate(zip(told, of, strict=True), start=1)
    ]
    logs = [row(id="m", event_sequence=6, live_event_sequence=0)]
    found = find_violations(Snapshot([CHECKOUT], [late, reversal], events, logs, [held]))
    assert [one.rule for one in found] == rules


def test_each_violation_stands_under_the_promise_that_it_breaks() -> None:
    found = sort_violations(Violation(rule, rule.name) for rule in Rule)
    assert (found.charged_twice, found.lost, found.stuck) == (["ONE_CHARGE"], ["NOTHING_IS_LOST"], ["EVERYTHING_ENDS"])
    assert found.count == len(Rule)


def in_mode(mode: str, *rows: Any, **columns: object) -> list[Any]:  # noqa: ANN401 - rows
    return [row(**{**vars(one), "mode": mode, **columns}) for one in rows]


LIVE_COUNTER = [row(id="m", event_sequence=0, live_event_sequence=4)]


@pytest.mark.parametrize(
    ("snapshot", "found"),
    [
        (Snapshot(in_mode("live", CHECKOUT), in_mode("live", ATTEMPT, account_id="pac_1"), EVENTS, []), 4),
        (Snapshot(in_mode("live", CHECKOUT), [ATTEMPT], in_mode("live", *EVENTS), LIVE_COUNTER), 1),
        (Snapshot(in_mode("live", CHECKOUT), in_mode("live", ATTEMPT), in_mode("live", *EVENTS), LIVE_COUNTER), 1),
    ],
    ids=["events of the other mode", "an attempt of the other mode", "a live attempt at the simulator"],
)
def test_what_is_of_another_mode_than_its_checkout_is_found(snapshot: Snapshot, found: int) -> None:
    assert [one.rule for one in find_violations(snapshot)] == [Rule.SAME_TERMS] * found


def test_each_mode_has_events_without_gaps_of_its_own() -> None:
    live = Snapshot(
        in_mode("live", CHECKOUT), in_mode("live", ATTEMPT, account_id="pac_1"), in_mode("live", *EVENTS), LIVE_COUNTER
    )
    assert find_violations(live) == []
    for counters in ({"event_sequence": 1}, {"live_event_sequence": 5}):
        counted = live._replace(merchants=[row(**{**vars(LIVE_COUNTER[0]), **counters})])
        assert [one.rule for one in find_violations(counted)] == [Rule.NO_GAPS]


def test_one_key_may_have_a_checkout_in_each_mode_but_only_one() -> None:
    twice = Snapshot([CHECKOUT, *in_mode("live", CHECKOUT, id="chk_2")], [], [], [])
    rules = {one.rule for one in find_violations(twice)}
    assert Rule.ONE_KEY_ONE_CHECKOUT not in rules
    twice = Snapshot([CHECKOUT, *in_mode("test", CHECKOUT, id="chk_2")], [], [], [])
    assert Rule.ONE_KEY_ONE_CHECKOUT in {one.rule for one in find_violations(twice)}
