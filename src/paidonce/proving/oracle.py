"""The oracle: checks the invariants against the provider's own books and against what was acknowledged to clients.

Scenarios, proofs and ``paidonce prove`` all use these rules. They are written independently of the service, so that a
mistake in its tables of states is noticed.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from enum import IntEnum
from itertools import pairwise
from math import inf
from typing import Any, Final, NamedTuple

import msgspec

from paidonce.proving.snapshot import Snapshot


class Rule(IntEnum):
    """The invariants; the numbers are those of the design."""

    ONE_CHARGE = 1  # A checkout is charged at most once.
    NOTHING_IS_LOST = 2  # What was acknowledged exists, and a final status does not change.
    COMPLETED_IS_CHARGED = 3  # A completed checkout is booked as such.
    ENDED_WITHOUT_MONEY = 4  # A checkout that is not completed keeps no money.
    INTENT_FIRST = 5  # Everything booked has an attempt that was committed before.
    ONE_UNDER_WAY = 6  # At most one attempt that moves a checkout is under way.
    ONE_KEY_ONE_CHECKOUT = 7
    ALLOWED_TRANSITIONS = 8
    # Refunds, pending and done, come to what the checkout counts, and to what was captured at most.
    REFUNDS_ARE_COVERED = 9
    TRANSITION_AND_EVENT = 10  # A transition and its event are committed together.
    NO_GAPS = 12  # The events of a merchant are numbered without gaps in each mode.
    SAME_TERMS = 14  # Amount, currency, merchant and mode never change.
    EVERYTHING_ENDS = 16  # Every payment ends, some time after the last fault.


class Violation(NamedTuple):
    """A violation of an invariant, such as "1. chk_… is charged 2 times"."""

    rule: Rule
    what: str

    def __str__(self) -> str:
        """Format it with the number of the invariant."""
        return f"{self.rule}. {self.what}"


class Acknowledged(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was acknowledged to a client about a checkout or an attempt; None where nothing was."""

    checkout_id: str | None = None
    idempotency_key: str | None = None
    merchant_id: str | None = None
    amount: int | None = None  # Minor units.
    status: str | None = None
    attempt_id: str | None = None
    attempt_status: str | None = None


UNDER_WAY: Final = ("READY", "SENT", "REQUIRES_ACTION", "ACCEPTED", "UNKNOWN", "NEEDS_REVIEW")
FINAL: Final = ("COMPLETED", "CANCELED", "EXPIRED")
BESIDE: Final = ("REFUND", "REVERSAL")  # Kinds of attempts that do not move a checkout.
# Events of an attempt that do not end it.
OPENING: Final = (
    "processing",
    "started",
    "created",
    "requires_action",
    "accepted",
    "closing",
    "unknown",
    "needs_review",
)
ALLOWED: Final = {
    "PENDING": ("PROCESSING", "CANCELED", "EXPIRED"),
    "PROCESSING": ("COMPLETED", "AUTHORIZED", "FAILED"),
    "AUTHORIZED": ("PROCESSING", "CANCELED", "EXPIRED"),
    "FAILED": ("PROCESSING", "CANCELED", "EXPIRED"),
    "COMPLETED": (),
    "CANCELED": (),
    "EXPIRED": (),
}
STATUS_OF_EVENT: Final = {"checkout.created": "PENDING"} | {
    f"checkout.{status.lower()}": status for status in ALLOWED if status != "PENDING"
}


def find_violations(
    snapshot: Snapshot, acknowledged: Sequence[Acknowledged] = (), *, ended: bool = True, may_need_review: bool = True
) -> list[Violation]:
    """Return every violation of the invariants.

    ``ended``: faults have stopped and time has passed, so that every payment must have ended, or be in review where
    that is allowed.
    """
    return [
        *_of_money(snapshot),
        *_of_reversals(snapshot),
        *_of_intents(snapshot),
        *_of_dashboard(snapshot, ended=ended),
        *_of_attempts(snapshot),
        *_of_refunds(snapshot),
        *_of_sequences(snapshot),
        *_of_modes(snapshot),
        *_of_histories(snapshot),
        *_of_promises(snapshot, acknowledged),
        *(_of_liveness(snapshot, may_need_review=may_need_review) if ended else ()),
    ]


def _of_money(snapshot: Snapshot) -> Iterator[Violation]:
    charged: defaultdict[str, list[Any]] = defaultdict(list)
    # What is confirmed too late for its checkout is reversed: see _of_reversals.
    reversed_ = {one.charge_reference for one in snapshot.attempts if one.kind == "REVERSAL"}
    # A wrong amount is the provider's fault, and is correct here if it is in review.
    in_review = {one.provider_key for one in snapshot.attempts if one.status == "NEEDS_REVIEW"}
    opened: defaultdict[str, list[Any]] = defaultdict(list)
    for one in snapshot.attempts:
        if one.status in UNDER_WAY:
            opened[one.checkout_id].append(one)
    done = [one for one in snapshot.changes if one.kind == "REFUND" and one.decline_code is None]
    booked = {one.key: one.amount for one in done if not _is_of_dashboard(one)}
    unrecorded = _unrecorded(snapshot)
    for one in snapshot.charges:
        if one.status in ("succeeded", "authorized") and one.reference not in reversed_:
            charged[one.checkout_id].append(one)
    for row in snapshot.checkouts:
        paid = charged.pop(row.id, [])
        if len(paid) > 1:
            keys = ", ".join(one.key for one in paid)
            yield Violation(Rule.ONE_CHARGE, f"{row.id} is charged {len(paid)} times: {keys}")
        # Refunds that are booked, but still open in our rows.
        open_refunds = sum(booked.get(one.provider_key, 0) for one in opened[row.id] if one.kind == "REFUND")
        open_refunds += sum(unrecorded[one.reference] for one in paid)
        yield from _of_checkout(row, paid, open_refunds)
        terms = (row.amount, row.currency, row.merchant_id)
        if any((one.amount, one.currency, one.merchant_id) != terms for one in paid if one.key not in in_review):
            yield Violation(Rule.SAME_TERMS, f"{row.id} is charged another amount, currency or merchant: {paid}")
    for checkout_id, paid in charged.items():
        yield Violation(Rule.NOTHING_IS_LOST, f"{checkout_id} is charged and there is no such checkout: {paid}")


def _of_checkout(row: Any, paid: Sequence[Any], open_refunds: int) -> Iterator[Violation]:  # noqa: ANN401 - a row
    kept = [one for one in paid if one.status == "authorized" or one.amount_refunded < one.amount_captured]
    if row.status == "COMPLETED":
        sums = (row.amount_captured, row.amount_refunded + open_refunds)
        booked = [(one.amount_captured, one.amount_refunded) for one in paid if one.status == "succeeded"]
        if booked != [sums]:
            what = f"{row.id} is COMPLETED with {sums} captured and refunded, and the books say {booked}"
            yield Violation(Rule.COMPLETED_IS_CHARGED, what)
    if row.status in ("PENDING", "FAILED", "CANCELED", "EXPIRED") and kept:
        yield Violation(Rule.ENDED_WITHOUT_MONEY, f"{row.id} is {row.status} and money is kept: {kept}")
    if row.status == "AUTHORIZED" and any(one.status == "succeeded" for one in paid):
        yield Violation(Rule.ENDED_WITHOUT_MONEY, f"{row.id} is AUTHORIZED and captured: {paid}")


def _of_reversals(snapshot: Snapshot) -> Iterator[Violation]:
    charges = {one.reference: one for one in snapshot.charges}
    for row in snapshot.attempts:
        if row.kind == "REVERSAL" and row.status == "SUCCEEDED":
            line = charges.get(row.charge_reference)
            if line is None or line.status == "authorized" or line.amount_refunded != line.amount_captured:
                yield Violation(Rule.ENDED_WITHOUT_MONEY, f"{row.id} has given back {row.charge_reference}, not {line}")


def _is_of_dashboard(change: Any) -> bool:  # noqa: ANN401 - a line of the books
    """Whether it was made at the provider without a call of ours: it has no key of ours."""
    return not change.key or str(change.key).startswith("dashboard_")


def _unrecorded(snapshot: Snapshot) -> Counter[str]:
    """Sum up, for each charge, the refunds of the dashboard whose webhook is not applied yet."""
    recorded = {one.provider_reference for one in snapshot.attempts if getattr(one, "initiated_by", None) is not None}
    found: Counter[str] = Counter()
    for one in snapshot.changes:
        if one.kind == "REFUND" and one.decline_code is None and _is_of_dashboard(one):
            found[one.charge_reference] += 0 if one.reference in recorded else one.amount
    return found


def _of_dashboard(snapshot: Snapshot, *, ended: bool) -> Iterator[Violation]:
    """Check that what was returned in the provider's dashboard is recorded, and that nothing else is recorded so."""
    recorded = {
        one.provider_reference: one for one in snapshot.attempts if getattr(one, "initiated_by", None) is not None
    }
    refunds = [one for one in snapshot.changes if one.kind == "REFUND" and _is_of_dashboard(one)]
    for one in refunds:
        row = recorded.get(one.reference)
        if row is None and ended and one.decline_code is None:
            yield Violation(Rule.REFUNDS_ARE_COVERED, f"{one.reference} was refunded in the dashboard, unrecorded")
        if row is not None and (row.amount != one.amount or (row.status == "DECLINED") != bool(one.decline_code)):
            what = f"{row.id} records {row.amount} as {row.status}, and the books say {one}"
            yield Violation(Rule.REFUNDS_ARE_COVERED, what)
    booked = {one.reference for one in refunds}
    for reference, row in recorded.items():
        if row.kind == "REFUND" and reference not in booked:
            yield Violation(Rule.REFUNDS_ARE_COVERED, f"{row.id} records a refund that is not in the books")


def _of_intents(snapshot: Snapshot) -> Iterator[Violation]:
    by_key = {row.provider_key: row for row in snapshot.attempts}
    changes = [one for one in snapshot.changes if not _is_of_dashboard(one)]
    for one in (*snapshot.charges, *changes):
        intent = by_key.get(one.key)
        if intent is None:
            yield Violation(Rule.INTENT_FIRST, f"{one.key} is in the books without an attempt")
        elif (intent.amount != one.amount and intent.status != "NEEDS_REVIEW") or intent.created_at > one.created_at:
            what = f"{one.key} is in the books with another amount, or before its attempt"
            yield Violation(Rule.INTENT_FIRST, what)
        elif getattr(one, "checkout_id", intent.checkout_id) != intent.checkout_id:
            yield Violation(Rule.INTENT_FIRST, f"{one.key} is in the books for another checkout than its attempt's")
        elif intent.status in ("SUCCEEDED", "DECLINED") and (intent.status == "DECLINED") != bool(one.decline_code):
            what = f"{one.key} is {intent.status} and in the books {one.decline_code or 'done'}"
            yield Violation(Rule.COMPLETED_IS_CHARGED, what)


def _of_attempts(snapshot: Snapshot) -> Iterator[Violation]:
    moving = Counter(one.checkout_id for one in snapshot.attempts if one.status in UNDER_WAY and one.kind not in BESIDE)
    # What continues a payment with another account has begun with this event, and is no other try of the buyer's.
    continuing = {one.attempt_id for one in snapshot.events if one.type == "attempt.started"}
    tries = Counter(
        one.checkout_id for one in snapshot.attempts if one.kind in ("CHARGE", "AUTHORIZE") and one.id not in continuing
    )
    for row in snapshot.checkouts:
        if moving[row.id] > 1 or (row.status == "PROCESSING") > moving[row.id]:
            what = f"{row.id} is {row.status} with {moving[row.id]} attempts under way"
            yield Violation(Rule.ONE_UNDER_WAY, what)
        if moving[row.id] and row.status not in ("PROCESSING", "AUTHORIZED"):
            yield Violation(Rule.ONE_UNDER_WAY, f"{row.id} is {row.status} with an attempt under way")
        if tries[row.id] != row.attempt_count:
            what = f"{row.id} counts {row.attempt_count} attempts and has {tries[row.id]}"
            yield Violation(Rule.TRANSITION_AND_EVENT, what)
    keys = Counter((row.merchant_id, row.mode, row.idempotency_key) for row in snapshot.checkouts)
    for key, count in keys.items():
        if count > 1:
            yield Violation(Rule.ONE_KEY_ONE_CHECKOUT, f"{key} has {count} checkouts")


def _of_refunds(snapshot: Snapshot) -> Iterator[Violation]:
    done: Counter[str] = Counter()
    pending: Counter[str] = Counter()
    for one in snapshot.attempts:
        if one.kind == "REFUND" and one.status != "DECLINED":
            (done if one.status == "SUCCEEDED" else pending)[one.checkout_id] += one.amount
    for row in snapshot.checkouts:
        sums, counted = (row.amount_refunded, row.amount_refund_pending), (done[row.id], pending[row.id])
        if sums != counted or sum(sums) > row.amount_captured:
            what = f"{row.id} counts refunds {sums} and has {counted} of {row.amount_captured}"
            yield Violation(Rule.REFUNDS_ARE_COVERED, what)


def _of_sequences(snapshot: Snapshot) -> Iterator[Violation]:
    numbers: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for row in snapshot.events:
        numbers[row.merchant_id, row.mode].append(row.sequence)
    begins = {(row.merchant_id, row.mode): row.first_sequence for row in snapshot.logs}
    for row in snapshot.merchants:
        for mode, newest in (("test", row.event_sequence), ("live", row.live_event_sequence)):
            told, first = numbers[row.id, mode], begins.get((row.id, mode), 1)
            if sorted(told) != list(range(first, newest + 1)):
                what = f"the {mode} events of {row.id} have gaps: {len(told)} from {first} up to {newest}"
                yield Violation(Rule.NO_GAPS, what)


def _kept_since(snapshot: Snapshot) -> dict[tuple[str, str], float]:
    """Tell, of each log that does not begin with 1, since when its events are kept."""
    begins = {(row.merchant_id, row.mode): row.first_sequence for row in snapshot.logs if row.first_sequence > 1}
    since: dict[tuple[str, str], float] = dict.fromkeys(begins, inf)
    for row in snapshot.events:
        log = (row.merchant_id, row.mode)
        if log in since:
            since[log] = min(since[log], row.created_at)
    return since


def _of_modes(snapshot: Snapshot) -> Iterator[Violation]:
    """Attempts and events have the mode of their checkout, and nothing live goes to a provider without an account."""
    modes = {(row.id, row.merchant_id): row.mode for row in snapshot.checkouts}
    for row in (*snapshot.attempts, *snapshot.events):
        mode = modes.get((row.checkout_id, row.merchant_id), row.mode)
        if row.mode != mode:
            yield Violation(Rule.SAME_TERMS, f"{row.id} is {row.mode}, and its checkout {row.checkout_id} is {mode}")
    for row in snapshot.attempts:
        if row.mode == "live" and row.account_id is None:
            yield Violation(
                Rule.SAME_TERMS, f"{row.id} of a live checkout was sent to {row.provider} without an account"
            )


def _of_histories(snapshot: Snapshot) -> Iterator[Violation]:
    history: defaultdict[str, list[str]] = defaultdict(list)
    starts: Counter[str | None] = Counter()
    ends: Counter[str | None] = Counter()
    for row in sorted(snapshot.events, key=lambda one: one.sequence):
        if row.type in STATUS_OF_EVENT:
            history[row.checkout_id].append(STATUS_OF_EVENT[row.type])
        kind = row.type.partition(".")[2]
        starts[row.attempt_id] += kind in ("processing", "started", "created")
        ends[row.attempt_id] += kind not in OPENING
    kept_since = _kept_since(snapshot)
    for row in snapshot.checkouts:
        event_statuses = history[row.id]
        is_told = event_statuses[:1] == ["PENDING"] and event_statuses[-1] == row.status
        since = kept_since.get((row.merchant_id, row.mode))
        if since is not None and row.created_at <= since:  # Its oldest events may be deleted.
            is_told = event_statuses[-1:] in ([], [row.status])
        if not is_told:
            yield Violation(Rule.TRANSITION_AND_EVENT, f"{row.id} is {row.status} and its events tell {event_statuses}")
        for before, after in pairwise(event_statuses):
            if after not in ALLOWED[before]:
                yield Violation(Rule.ALLOWED_TRANSITIONS, f"{row.id} went from {before} to {after}")
    for row in snapshot.attempts:
        is_told = starts[row.id] >= 1 and (row.settled_at is None or ends[row.id] >= 1)
        since = kept_since.get((row.merchant_id, row.mode))
        if not is_told and (since is None or row.created_at > since):
            counted = f"{starts[row.id]} events of a start and {ends[row.id]} of an end"
            yield Violation(Rule.TRANSITION_AND_EVENT, f"{row.id}, {row.kind} {row.status}, has {counted}")


def _of_promises(snapshot: Snapshot, acknowledged: Sequence[Acknowledged]) -> Iterator[Violation]:
    checkouts = {row.id: row for row in snapshot.checkouts}
    attempts = {row.id: row for row in snapshot.attempts}
    for fact in acknowledged:
        if fact.checkout_id is not None:
            row = checkouts.get(fact.checkout_id)
            if row is None:
                yield Violation(Rule.NOTHING_IS_LOST, f"a client was told of {fact.checkout_id}, which is lost")
            elif fact.status in FINAL and row.status != fact.status:
                yield Violation(Rule.NOTHING_IS_LOST, f"a client was told {fact}, and now it is {row.status}")
            elif fact.idempotency_key not in (None, row.idempotency_key):
                what = f"{row.id} was told for {fact.idempotency_key} and is {row.idempotency_key}'s"
                yield Violation(Rule.ONE_KEY_ONE_CHECKOUT, what)
            elif fact.merchant_id not in (None, row.merchant_id) or fact.amount not in (None, row.amount):
                yield Violation(Rule.SAME_TERMS, f"a client was told {fact}, and now it is {row}")
        if fact.attempt_id is not None:
            row = attempts.get(fact.attempt_id)
            if row is None:
                yield Violation(Rule.NOTHING_IS_LOST, f"a client was told of {fact.attempt_id}, which is lost")
            elif fact.attempt_status not in (None, row.status):
                yield Violation(Rule.NOTHING_IS_LOST, f"a client was told {fact}, and now it is {row.status}")


def _of_liveness(snapshot: Snapshot, *, may_need_review: bool) -> Iterator[Violation]:
    for row in snapshot.attempts:
        if row.status in UNDER_WAY and not (may_need_review and row.status == "NEEDS_REVIEW"):
            what = f"{row.id}, a {row.kind} with {row.payment_method} of {row.checkout_id}, is {row.status} still"
            yield Violation(Rule.EVERYTHING_ENDS, what)
    for row in () if may_need_review else snapshot.webhooks:
        what = f"the webhook {row.id} of {row.provider} is not applied: {row.result}"
        yield Violation(Rule.EVERYTHING_ENDS, what)
