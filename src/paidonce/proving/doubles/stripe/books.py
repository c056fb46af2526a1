"""The objects of the double, and its books: each movement of money, and whose it was."""

import re
from collections.abc import Callable
from typing import Any, Final

from paidonce.clock import Clock
from paidonce.proving.doubles.calls import Json
from paidonce.proving.doubles.ledger import Ledger, Movement, MovementKind
from paidonce.proving.doubles.stripe.amounts import minor_units
from paidonce.proving.doubles.stripe.params import StripeFailure

ID_LENGTH: Final = 24
AUTHORIZATION_SECONDS: Final = 7 * 24 * 60 * 60  # The usual validity of an authorization by card.


class Books:
    """All objects by id, as Stripe writes them, and the ledger.

    ``secret_key`` and ``idempotency_key`` are those of the call that is being executed; on a page, the secret key is
    that of the owner. ``tell`` is called with the type and the object of each event.
    """

    tell: Callable[[str, Json], None]

    def __init__(self, *, url: str, clock: Clock) -> None:
        self.url = url
        self.clock = clock
        self.ledger = Ledger()
        self.secret_key = ""
        self.idempotency_key = ""
        self.intents: dict[str, Json] = {}
        self.sessions: dict[str, Json] = {}
        self.refunds: dict[str, Json] = {}
        self.charges: dict[str, Json] = {}
        self.disputes: dict[str, Json] = {}
        self.intent_data: dict[str, Json] = {}  # Of sessions whose PaymentIntent is not created yet.
        self._owners: dict[str, str] = {}  # The secret key of each object.
        self._count = 0

    @property
    def now(self) -> int:
        """Unix time in seconds."""
        return self.clock() // 1000

    def new_id(self, prefix: str) -> str:
        """Return another id: they are numbered, so that a run with a seed repeats."""
        self._count += 1
        made = f"{prefix}_{self._count:0{ID_LENGTH}d}"
        self._owners[made] = self.secret_key
        return made

    def owner_of(self, object_id: str) -> str:
        """Return the secret key of the account that an object belongs to; empty where there is none."""
        return self._owners.get(object_id, "")

    def move(self, kind: MovementKind, source: Json, amount: int) -> None:
        """Book a movement of money, in Stripe's unit, by a PaymentIntent or a refund."""
        intent = self.intents[source.get("payment_intent") or source["id"]]
        by_call = kind in ("capture", "release")  # These have no metadata of their own.
        self.ledger.add(
            Movement(
                kind=kind,
                id=source["id"],
                payment_id=intent["id"],
                amount=minor_units(amount, intent["currency"]),
                currency=intent["currency"].upper(),
                checkout_id=intent["metadata"].get("paidonce_checkout", ""),
                operation_key=re.sub(r"-\d+$", "", self.idempotency_key)
                if by_call
                else source["metadata"].get("paidonce_key", ""),
                moved_at=self.clock(),
                account=self.owner_of(intent["id"]),
            )
        )

    def found(self, kind: str, object_id: str) -> Json:
        """Return an object of the account; raises StripeFailure where there is none."""
        objects: dict[str, dict[str, Json]] = {
            "payment_intent": self.intents,
            "checkout.session": self.sessions,
            "refund": self.refunds,
        }
        found = objects[kind].get(object_id)
        if found is None or self.owner_of(object_id) != self.secret_key:
            raise StripeFailure(404, f"No such {kind}: '{object_id}'", code="resource_missing", param="id")
        return found

    def as_json(self) -> Json:
        """Return everything, for a reader in another process."""
        return {
            **self.ledger.as_json(),
            "intents": list(self.intents.values()),
            "sessions": list(self.sessions.values()),
            "refunds": list(self.refunds.values()),
            "disputes": list(self.disputes.values()),
        }


def expanded(books: Books, intent: Json, given: Json) -> Json:
    """Return a PaymentIntent, with its charge where that is wanted."""
    charge = books.charges.get(intent["latest_charge"] or "")
    return {**intent, "latest_charge": charge} if charge and "latest_charge" in given.get("expand", ()) else intent


def new_charge(books: Books, intent: Json) -> Json:
    """Create the charge of a PaymentIntent that is being paid, and name it there."""
    is_manual = intent["capture_method"] == "manual"
    charge: Json = {
        "id": books.new_id("ch"),
        "object": "charge",
        "amount": intent["amount"],
        "captured": not is_manual,
        "created": books.now,
        "currency": intent["currency"],
        "livemode": False,
        "metadata": dict(intent["metadata"]),
        "payment_intent": intent["id"],
        "payment_method_details": {
            "type": "card",
            "card": {"capture_before": books.now + AUTHORIZATION_SECONDS} if is_manual else {},
        },
    }
    books.charges[charge["id"]] = charge
    intent["latest_charge"] = charge["id"]
    return charge


def new_intent(books: Books, *, amount: int, currency: str, fields: Json) -> Json:
    """Create a PaymentIntent without a payment method."""
    intent_id = books.new_id("pi")
    intent: dict[str, Any] = {
        "id": intent_id,
        "object": "payment_intent",
        "amount": amount,
        "amount_capturable": 0,
        "amount_received": 0,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": fields.get("capture_method", "automatic_async"),
        "client_secret": f"{intent_id}_secret_double",
        "created": books.now,
        "currency": currency,
        "description": fields.get("description"),
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": dict(fields.get("metadata", {})),
        "next_action": None,
        "payment_method": fields.get("payment_method"),
        "payment_method_types": fields.get("allowed_payment_method_types", ["card", "link"]),
        "status": "requires_confirmation" if fields.get("payment_method") else "requires_payment_method",
    }
    books.intents[intent_id] = intent
    return intent
