"""What must always hold, by the numbers of the design, held against the provider's own books and what clients heard."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Row, select

from paidonce.checkouts.model import ALLOWED, EVENT_OF, CheckoutStatus
from paidonce.database.schema import attempt, checkout, event, merchant
from paidonce.providers.simulator.books import change, charge

AnyRow = Row[*tuple[Any, ...]]
OPEN: Final = ("READY", "SENT", "UNKNOWN", "NEEDS_REVIEW")
FINAL: Final = ("COMPLETED", "CANCELED", "EXPIRED")
BESIDE: Final = ("REFUND", "REVERSAL")  # Kinds that move no checkout.
TOLD: Final = {"checkout.created": CheckoutStatus.PENDING} | {str(kind): one for one, kind in EVENT_OF.items()}


class Picture(NamedTuple):
    """All rows and all lines of the books, of one merchant or of everybody."""

    checkouts: Sequence[AnyRow]
    attempts: Sequence[AnyRow]
    events: Sequence[AnyRow]
    merchants: Sequence[AnyRow]
    charges: Sequence[Any]
    changes: Sequence[Any]


def take_picture(database: Connection, books: Connection | None, of_merchant: str | None = None) -> Picture:
    """Read everything, or what belongs to one merchant; without books their lines are for the caller to add."""

    def rows(connection: Connection, table: Any, column: str = "merchant_id") -> Sequence[AnyRow]:  # noqa: ANN401 - a table
        wanted = select(table) if of_merchant is None else select(table).where(table.c[column] == of_merchant)
        return connection.execute(wanted).all()

    ours = (rows(database, checkout), rows(database, attempt), rows(database, event), rows(database, merchant, "id"))
    if books is None:
        return Picture(*ours, [], [])
    charges = rows(books, charge)
    references = {one.reference for one in charges}
    changes = [one for one in books.execute(select(change)).all() if one.charge_reference in references]
    return Picture(*ours, charges, changes)


def violations(picture: Picture, told: Sequence[dict[str, Any]] = (), *, ended: bool = True) -> list[str]:
    """Say each way in which something that must hold does not; ``ended``: once faults have stopped and time went by."""
    return [
        *_of_money(picture),
        *_of_reversals(picture),
        *_of_intents(picture),
        *_of_attempts(picture),
        *_of_refunds(picture),
        *_of_histories(picture),
        *_of_promises(picture, told),
        *(_of_liveness(picture) if ended else ()),
    ]


def read_told(path: Path) -> list[dict[str, Any]]:
    """Read what clients were told, if anything was."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _of_money(picture: Picture) -> Iterator[str]:
    charged: defaultdict[str, list[Any]] = defaultdict(list)
    # A charge that was proven too late for its checkout goes back: see _of_reversals.
    reversed_ = {one.charge_reference for one in picture.attempts if one.kind == "REVERSAL"}
    # Other money than was asked for is the provider's fault, as long as a person is told.
    in_review = {one.provider_key for one in picture.attempts if one.status == "NEEDS_REVIEW"}
    for one in picture.charges:
        if one.status in ("succeeded", "authorized") and one.reference not in reversed_:
            charged[one.checkout_id].append(one)
    for row in picture.checkouts:
        paid = charged.pop(row.id, [])
        if len(paid) > 1:
            yield f"1. {row.id} is charged {len(paid)} times"
        yield from _of_checkout(picture, row, paid)
        terms = (row.amount, row.currency, row.merchant_id)
        if any((one.amount, one.currency, one.merchant_id) != terms for one in paid if one.key not in in_review):
            yield f"14. {row.id} is charged another amount, currency or merchant"
    for checkout_id in charged:
        yield f"2. {checkout_id} is charged and there is no such checkout"


def _of_checkout(picture: Picture, row: Any, paid: Sequence[Any]) -> Iterator[str]:  # noqa: ANN401 - a row
    kept = [one for one in paid if one.status == "authorized" or one.amount_refunded < one.amount_captured]
    if row.status == "COMPLETED":
        sums = (row.amount_captured, row.amount_refunded + _refunded_and_open(picture, row.id))
        booked = [(one.amount_captured, one.amount_refunded) for one in paid if one.status == "succeeded"]
        if booked != [sums]:
            yield f"3. {row.id} is COMPLETED with {sums}, and the books say {booked}"
    if row.status in ("PENDING", "FAILED", "CANCELED", "EXPIRED") and kept:
        yield f"4. {row.id} is {row.status} and money is kept: {kept}"


def _of_reversals(picture: Picture) -> Iterator[str]:
    charges = {one.reference: one for one in picture.charges}
    for row in picture.attempts:
        if row.kind == "REVERSAL" and row.status == "SUCCEEDED":
            line = charges[row.charge_reference]
            if line.amount_refunded != line.amount_captured:
                yield f"4. {row.id} gave back {line.amount_refunded} of {line.amount_captured}"


def _refunded_and_open(picture: Picture, checkout_id: str) -> int:
    """Sum the refunds that are in the books, and open with us still."""
    booked = {one.key: one.amount for one in picture.changes if one.kind == "REFUND" and one.decline_code is None}
    mine = [one for one in picture.attempts if one.checkout_id == checkout_id and one.status in OPEN]
    return sum(booked.get(one.provider_key, 0) for one in mine if one.kind == "REFUND")


def _of_intents(picture: Picture) -> Iterator[str]:
    by_key = {row.provider_key: row for row in picture.attempts}
    for one in (*picture.charges, *picture.changes):
        intent = by_key.get(one.key)
        if intent is None:
            yield f"5. {one.key} is in the books without an attempt"
        elif (intent.amount != one.amount and intent.status != "NEEDS_REVIEW") or intent.created_at > one.created_at:
            yield f"5. {one.key} is in the books with another amount, or before its attempt"
        elif intent.status in ("SUCCEEDED", "DECLINED") and (intent.status == "DECLINED") != bool(one.decline_code):
            yield f"3. {one.key} is {intent.status} and in the books {one.decline_code or 'done'}"


def _of_attempts(picture: Picture) -> Iterator[str]:
    moving = Counter(one.checkout_id for one in picture.attempts if one.status in OPEN and one.kind not in BESIDE)
    tries = Counter(one.checkout_id for one in picture.attempts if one.kind in ("CHARGE", "AUTHORIZE"))
    for row in picture.checkouts:
        if moving[row.id] > 1 or (row.status == "PROCESSING") > moving[row.id]:
            yield f"6. {row.id} is {row.status} with {moving[row.id]} attempts under way"
        if moving[row.id] and row.status not in ("PROCESSING", "AUTHORIZED"):
            yield f"6. {row.id} is {row.status} with an attempt under way"
        if tries[row.id] != row.attempt_count:
            yield f"10. {row.id} counts {row.attempt_count} attempts and has {tries[row.id]}"
    keys = Counter((row.merchant_id, row.idempotency_key) for row in picture.checkouts)
    yield from (f"7. {key} has {count} checkouts" for key, count in keys.items() if count > 1)


def _of_refunds(picture: Picture) -> Iterator[str]:
    done: Counter[str] = Counter()
    pending: Counter[str] = Counter()
    for one in picture.attempts:
        if one.kind == "REFUND" and one.status != "DECLINED":
            (done if one.status == "SUCCEEDED" else pending)[one.checkout_id] += one.amount
    for row in picture.checkouts:
        sums = (row.amount_refunded, row.amount_refund_pending)
        if sums != (done[row.id], pending[row.id]) or sum(sums) > row.amount_captured:
            counted = (done[row.id], pending[row.id])
            yield f"9. {row.id} counts refunds {sums} and has {counted} of {row.amount_captured}"


def _of_histories(picture: Picture) -> Iterator[str]:
    numbers: defaultdict[str, list[int]] = defaultdict(list)
    history: defaultdict[str, list[CheckoutStatus]] = defaultdict(list)
    tells: Counter[tuple[str, str]] = Counter()
    for row in sorted(picture.events, key=lambda one: one.sequence):
        numbers[row.merchant_id].append(row.sequence)
        if row.type in TOLD:
            history[row.checkout_id].append(TOLD[row.type])
        tells[row.attempt_id or "", row.type.partition(".")[2]] += 1
    for row in picture.merchants:
        if numbers[row.id] != list(range(1, row.event_sequence + 1)):
            yield f"12. the events of {row.id} have gaps: {numbers[row.id]} up to {row.event_sequence}"
    for row in picture.checkouts:
        told = history[row.id]
        if not told or told[0] != CheckoutStatus.PENDING or told[-1] != row.status:
            yield f"10. {row.id} is {row.status} and its events tell {[str(one) for one in told]}"
        yield from (f"8. {row.id}: {one} → {two}" for one, two in pairwise(told) if two not in ALLOWED[one])
    for row in picture.attempts:
        ends = sum(count for (one, kind), count in tells.items() if one == row.id and kind not in _OPENING)
        starts = sum(tells[row.id, kind] for kind in ("processing", "started", "created"))
        if starts < 1 or (row.settled_at is not None) > ends:
            yield f"10. {row.id}, {row.kind} {row.status}, has {starts} events of a start and {ends} of an end"


_OPENING: Final = ("processing", "started", "created", "unknown", "needs_review")


def _of_promises(picture: Picture, told: Sequence[dict[str, Any]]) -> Iterator[str]:
    checkouts = {row.id: row for row in picture.checkouts}
    attempts = {row.id: row for row in picture.attempts}
    for fact in told:
        if "checkout" in fact and fact["checkout"] not in checkouts:
            yield f"2. a client was told of {fact['checkout']}, which is lost"
        elif "seen" in fact and fact["seen"] in FINAL and checkouts[fact["checkout"]].status != fact["seen"]:
            yield f"2. a client saw {fact}, and now it is {checkouts[fact['checkout']].status}"
        if "attempt" in fact and fact["attempt"] not in attempts:
            yield f"2. a client was told of {fact['attempt']}, which is lost"
        elif "ended" in fact and attempts[fact["attempt"]].status != fact["ended"]:
            yield f"2. a client saw {fact}, and now it is {attempts[fact['attempt']].status}"


def _of_liveness(picture: Picture) -> Iterator[str]:
    for row in picture.attempts:
        if row.status in ("READY", "SENT", "UNKNOWN"):
            yield f"16. {row.id}, {row.kind}, is {row.status} still"
