"""The objects of the double, and its books: each movement of money, and whose it was."""

from collections.abc import Callable
from typing import Any, Final

from paidonce.clock import Clock
from paidonce.proving.doubles.stripe.params import ApiFailure, Json

ID_LENGTH: Final = 24


class Books:
    """All objects by id, as Stripe writes them. ``movements`` is what moved money, in order.

    ``tell`` is called with the type and the object of each event.
    """

    def __init__(self, *, url: str, clock: Clock, tell: Callable[[str, Json], None]) -> None:
        self.url = url
        self.clock = clock
        self.tell = tell
        self.intents: dict[str, Json] = {}
        self.sessions: dict[str, Json] = {}
        self.refunds: dict[str, Json] = {}
        self.intent_data: dict[str, Json] = {}  # Of sessions whose PaymentIntent is not created yet.
        self.movements: list[Json] = []
        self._count = 0

    @property
    def now(self) -> int:
        """Unix time in seconds."""
        return self.clock() // 1000

    def new_id(self, prefix: str) -> str:
        """Return another id: they are numbered, so that a run with a seed repeats."""
        self._count += 1
        return f"{prefix}_{self._count:0{ID_LENGTH}d}"

    def move(self, kind: str, source: Json, amount: int) -> None:
        """Book a movement of money: a charge, an authorization, a capture, a release or a refund."""
        self.movements.append(
            {
                "kind": kind,
                "id": source["id"],
                "amount": amount,
                "currency": source["currency"],
                "metadata": dict(source["metadata"]),
            }
        )

    def found(self, kind: str, object_id: str) -> Json:
        """Return an object; raises ApiFailure where there is none."""
        objects: dict[str, dict[str, Json]] = {
            "payment_intent": self.intents,
            "checkout.session": self.sessions,
            "refund": self.refunds,
        }
        try:
            return objects[kind][object_id]
        except KeyError:
            message = f"No such {kind}: '{object_id}'"
            raise ApiFailure(404, message, code="resource_missing", param="id") from None

    def charged(self) -> dict[str, list[int]]:
        """Return the amounts that each checkout was charged, by our id of the checkout; a void is taken off."""
        amounts: dict[str, list[int]] = {}
        for movement in self.movements:
            if movement["kind"] in {"charge", "capture"}:
                amounts.setdefault(movement["metadata"].get("paidonce_checkout", ""), []).append(movement["amount"])
        return amounts

    def as_json(self) -> Json:
        """Return everything, for a reader in another process."""
        return {
            "charged": self.charged(),
            "movements": self.movements,
            "intents": list(self.intents.values()),
            "sessions": list(self.sessions.values()),
            "refunds": list(self.refunds.values()),
        }


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
