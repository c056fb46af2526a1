"""The simulated provider's books of sessions. A session is charged at most once, whatever keys and races there are."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import msgspec
from sqlalchemy import BigInteger, Boolean, Column, Index, Table, Text, bindparam, insert, select, update

from paidonce import ids
from paidonce.clock import Instant
from paidonce.database.transaction import Transaction
from paidonce.providers.simulator.behaviour import BUYER_DECLINED, needs_buyer, needs_charge, session_decline_code
from paidonce.providers.simulator.books import BookCharge, Booked, Charge, book_charges, metadata, read_charge

session = Table(
    "session",
    metadata,
    Column("reference", Text, primary_key=True),
    Column("key", Text, nullable=False),
    Column("checkout_id", Text, nullable=False),
    Column("merchant_id", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("payment_method", Text, nullable=False),
    Column("capture", Boolean, nullable=False),
    Column("description", Text),
    Column("return_url", Text, nullable=False),
    Column("status", Text, nullable=False, comment="open, approved, charged or closed"),
    Column("charge_reference", Text, unique=True, comment="of its charge, once it is charged"),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Index("session_by_key", "key"),
    sqlite_with_rowid=False,
)


class SessionStatus(StrEnum):
    """Where a session stands."""

    OPEN = "open"  # The buyer must act.
    APPROVED = "approved"  # The merchant may charge it.
    CHARGED = "charged"  # There is a charge, which succeeded or was declined.
    CLOSED = "closed"


CHARGEABLE: Final = (SessionStatus.OPEN, SessionStatus.APPROVED)


class Session(msgspec.Struct, frozen=True):
    """A session as it was booked. ``amount`` is in minor units."""

    reference: str
    key: str
    checkout_id: str
    merchant_id: str
    amount: int
    currency: str
    payment_method: str
    capture: bool
    description: str | None
    return_url: str
    status: str
    created_at: Instant
    expires_at: Instant
    charge_reference: str | None = None


class SessionState(msgspec.Struct, frozen=True):
    """A session, its charge where there is one, and whether this request changed it. ``is_expired``: it takes no money
    any more, unless it did before.
    """

    session: Session
    is_expired: bool
    charge: Charge | None = None
    is_changed: bool = False


class BookSession(msgspec.Struct, frozen=True, kw_only=True):
    """A request to open a session. A key that was booked less than ``key_lifetime_ms`` ago opens no other."""

    key: str
    checkout_id: str
    merchant_id: str
    amount: int
    currency: str
    payment_method: str
    capture: bool
    description: str | None
    return_url: str
    expires_at: Instant
    key_lifetime_ms: int


class SessionStep(StrEnum):
    """What is done to a session: by the buyer, or by the merchant."""

    APPROVE = "approve"
    DECLINE = "decline"
    CHARGE = "charge"
    CLOSE = "close"


class StepSession(msgspec.Struct, frozen=True):
    """A request to take a step with a session. It is without effect where the session does not allow it any more."""

    reference: str
    step: SessionStep


_COLUMNS: Final = [session.c[name] for name in Session.__struct_fields__]
_BY_KEY: Final = (
    select(*_COLUMNS)
    .where(session.c.key == bindparam("key"), session.c.created_at > bindparam("forgotten_until"))
    .order_by(session.c.reference.desc())
    .limit(1)
)
_BY_REFERENCE: Final = select(*_COLUMNS).where(session.c.reference == bindparam("wanted"))


def open_sessions(transaction: Transaction, requests: Sequence[BookSession]) -> list[SessionState]:
    """Open sessions. A key that the provider remembers returns the session that it opened, as it is now."""
    return [_open(transaction, request) for request in requests]


def _open(transaction: Transaction, request: BookSession) -> SessionState:
    forgotten_until = transaction.now - request.key_lifetime_ms
    before = transaction.rows(_BY_KEY, {"key": request.key, "forgotten_until": forgotten_until})
    if before:
        return _state(transaction, Session(*before[0]))
    status = SessionStatus.OPEN if needs_buyer(request.payment_method) else SessionStatus.APPROVED
    fields = {name: getattr(request, name) for name in BookSession.__struct_fields__ if name != "key_lifetime_ms"}
    opened = Session(reference=ids.new_id(ids.SESSION), status=status, created_at=transaction.now, **fields)
    transaction.run(insert(session).values(msgspec.structs.asdict(opened)))
    return msgspec.structs.replace(_state(transaction, opened), is_changed=True)


def read_sessions(transaction: Transaction, references: Sequence[str]) -> list[SessionState | None]:
    """Read sessions as they are now; None where there is none."""
    return [_read(transaction, reference) for reference in references]


def step_sessions(transaction: Transaction, requests: Sequence[StepSession]) -> list[SessionState | None]:
    """Take steps with sessions, one after the other; None where there is no such session."""
    return [_step(transaction, request) for request in requests]


def _step(transaction: Transaction, request: StepSession) -> SessionState | None:
    before = _read(transaction, request.reference)
    if before is None or before.is_expired:
        return before
    match request.step, before.session.status:
        case SessionStep.APPROVE, SessionStatus.OPEN if needs_charge(before.session.payment_method):
            _move(transaction, before.session, SessionStatus.APPROVED)
        case SessionStep.APPROVE, SessionStatus.OPEN:
            _charge(transaction, before.session, session_decline_code(before.session.payment_method))
        case SessionStep.DECLINE, SessionStatus.OPEN:
            _charge(transaction, before.session, BUYER_DECLINED)
        case SessionStep.CHARGE, SessionStatus.APPROVED:
            _charge(transaction, before.session, session_decline_code(before.session.payment_method))
        case SessionStep.CLOSE, SessionStatus.OPEN | SessionStatus.APPROVED:
            _move(transaction, before.session, SessionStatus.CLOSED)
        case _:
            return before
    after = _read(transaction, request.reference)
    assert after is not None, "it was there a moment ago"
    return msgspec.structs.replace(after, is_changed=True)


def _move(transaction: Transaction, moved: Session, status: SessionStatus) -> None:
    """Change the status, once: also where several processes share the books."""
    is_unchanged = (session.c.reference == moved.reference) & (session.c.status == moved.status)
    changed = transaction.rows(update(session).where(is_unchanged).values(status=status).returning(session.c.reference))
    assert changed, "a transaction that writes is alone"


def _charge(transaction: Transaction, charged: Session, decline_code: str | None) -> None:
    """Book the charge under the key that opened the session: it is that operation."""
    _move(transaction, charged, SessionStatus.CHARGED)
    booked = book_charges(
        transaction,
        [
            BookCharge(
                key=charged.key,
                checkout_id=charged.checkout_id,
                merchant_id=charged.merchant_id,
                amount=charged.amount,
                currency=charged.currency,
                payment_method=charged.payment_method,
                status="declined" if decline_code else "succeeded" if charged.capture else "authorized",
                decline_code=decline_code,
                hidden_ms=0,
                key_lifetime_ms=0,  # The session is what guards against a second charge.
            )
        ],
    )
    assert booked[0].first, "a charge without a lifetime of its key is new"
    recorded = update(session).where(session.c.reference == charged.reference)
    transaction.run(recorded.values(charge_reference=booked[0].operation.reference))


def _read(transaction: Transaction, reference: str) -> SessionState | None:
    rows = transaction.rows(_BY_REFERENCE, {"wanted": reference})
    return _state(transaction, Session(*rows[0])) if rows else None


def _state(transaction: Transaction, found: Session) -> SessionState:
    charge = None if found.charge_reference is None else read_charge(transaction, found.charge_reference)
    is_expired = found.status in CHARGEABLE and found.expires_at <= transaction.now
    return SessionState(found, is_expired, charge)


def booked_by(state: SessionState) -> Booked | None:
    """Return the charge that a step has booked; None where it has booked none."""
    if state.charge is None or not state.is_changed:
        return None
    return Booked(state.charge, state.session.payment_method, first=True)
