"""The objects of the double by id, as Mollie writes them, and its ledger."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from paidonce.clock import Clock, format_instant
from paidonce.proving.doubles.calls import Json
from paidonce.proving.doubles.ledger import Ledger, Movement, MovementKind
from paidonce.proving.doubles.mollie.params import MollieFailure, minor_units

ID_LENGTH: Final = 14
GONE: Final = frozenset({"failed", "canceled"})


class Record(msgspec.Struct, kw_only=True):
    """A payment with all that belongs to it, and what the API does not show.

    ``settlement`` is how its captures and refunds go: ``now``, or ``later`` or ``fails`` after a few ``readings``.
    """

    payment: Json
    account: str
    expires_at: int
    settlement: str = "now"
    readings: dict[str, int] = {}
    captures: list[Json] = []
    refunds: list[Json] = []
    chargebacks: list[Json] = []

    @property
    def id(self) -> str:
        """The id of the payment."""
        found: str = self.payment["id"]
        return found

    @property
    def units(self) -> int:
        """The amount of the payment, in minor units."""
        return minor_units(self.payment["amount"])

    @property
    def captured(self) -> int:
        """The amount that was taken, in minor units."""
        if self.payment["captureMode"] == "automatic":
            return self.units if self.payment["status"] == "paid" else 0
        return sum(minor_units(one["amount"]) for one in self.captures if one["status"] == "succeeded")

    @property
    def pending(self) -> int:
        """The amount of captures without an outcome."""
        return sum(minor_units(one["amount"]) for one in self.captures if one["status"] == "pending")

    @property
    def refunded(self) -> int:
        """The amount of refunds that are made or on their way."""
        return sum(minor_units(one["amount"]) for one in self.refunds if one["status"] not in GONE)


class Books:
    """All payments. ``tell`` is called with the name of an event, the record, and the object that it is about."""

    def __init__(self, *, url: str, clock: Clock) -> None:
        self.url = url
        self.clock = clock
        self.ledger = Ledger()
        self.records: dict[str, Record] = {}
        self.tell: Callable[[str, Record, Json], None] = lambda _kind, _record, _about: None
        self._count = 0

    def __iter__(self) -> Iterator[Record]:
        """Iterate over the payments, newest first."""
        return reversed(self.records.values())

    def new_id(self, prefix: str) -> str:
        """Return another id: they are numbered, so that a run with a seed repeats."""
        self._count += 1
        return f"{prefix}_{self._count:0{ID_LENGTH}d}"

    def time(self, offset_ms: int = 0) -> str:
        """Return the time as Mollie writes it."""
        return format_instant(self.clock() + offset_ms).replace("Z", "+00:00")

    def found(self, payment_id: str, account: str | None = None) -> Record:
        """Return a payment of an account, or of any; raises MollieFailure."""
        record = self.records.get(payment_id)
        if record is None or account not in (None, record.account):
            raise MollieFailure(404, f"No payment exists with token {payment_id}.")
        return record

    def move(self, kind: MovementKind, record: Record, source: Json, units: int) -> None:
        """Book a movement of money that ``source``, a payment, a capture or a refund, has brought about."""
        metadata: Any = record.payment["metadata"] or {}
        self.ledger.add(
            Movement(
                kind=kind,
                id=source["id"],
                payment_id=record.id,
                amount=units,
                currency=record.payment["amount"]["currency"],
                checkout_id=metadata.get("paidonce_checkout", ""),
                operation_key=(source["metadata"] or {}).get("paidonce_key", ""),
                moved_at=self.clock(),
                account=record.account,
            )
        )

    def as_json(self) -> Json:
        """Return everything, for a reader in another process."""
        return {**self.ledger.as_json(), "payments": [msgspec.to_builtins(record) for record in self.records.values()]}
