"""The objects of the double, and its books: each movement of money, and whose it was."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, Literal, TypeAlias

from paidonce.clock import Clock, Instant
from paidonce.proving.doubles.calls import Json
from paidonce.proving.doubles.ledger import Ledger, Movement, MovementKind
from paidonce.proving.doubles.paypal.bodies import minor_units
from paidonce.proving.doubles.paypal.failures import PayPalFailure
from paidonce.proving.doubles.paypal.funding import BALANCE, FUNDINGS, Funding

Kind: TypeAlias = Literal["order", "authorization", "capture", "refund"]

ID_LENGTH: Final = 16
ORDER_MS: Final = 6 * 60 * 60 * 1000  # PayPal forgets an order that nobody has approved.
LOOKS: Final = 2  # After so many a pending payment is decided.
PATCHABLE: Final = frozenset({"CREATED", "PAYER_ACTION_REQUIRED", "APPROVED"})
SEP: Final = "."


class Books:
    """All objects by id, as PayPal writes them, and the ledger.

    ``client_id`` and ``request_id`` are those of the call that is being executed; on a page, the client id is that of
    the owner. ``tell`` is called with the type and the resource of each event. ``patchable`` are the statuses in which
    an order can be changed.
    """

    tell: Callable[[str, str, Json], None]

    def __init__(self, *, url: str, clock: Clock) -> None:
        self.url = url
        self.clock = clock
        self.ledger = Ledger()
        self.client_id = ""
        self.request_id = ""
        self.patchable = PATCHABLE
        self.tokens: dict[str, tuple[str, Instant]] = {}  # The client id of each access token, and when it expires.
        self.objects: dict[Kind, dict[str, Json]] = {"order": {}, "authorization": {}, "capture": {}, "refund": {}}
        self.funding: dict[str, str] = {}  # What the buyer of each order pays with.
        self.pending: dict[str, tuple[str, int]] = {}  # Which status each payment gets, after how many looks.
        self.keys: dict[str, str] = {}  # Our key of each payment, where the call had it and the object has not.
        self._owners: dict[str, str] = {}
        self._count = 0

    def new_id(self, prefix: str) -> str:
        """Return another id: they are numbered, so that a run with a seed repeats."""
        self._count += 1
        made = f"{prefix}{self._count:0{ID_LENGTH}d}"
        self._owners[made] = self.client_id
        return made

    def owner_of(self, object_id: str) -> str:
        """Return the client id of the account that an object belongs to; empty where there is none."""
        return self._owners.get(object_id, "")

    def time(self, at: Instant | None = None) -> str:
        """Return a time as PayPal writes it."""
        return datetime.fromtimestamp((self.clock() if at is None else at) / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def found(self, kind: Kind, object_id: str) -> Json:
        """Return an object of the account; raises PayPalFailure where there is none."""
        found = self.objects[kind].get(object_id)
        if found is None or self.owner_of(object_id) != self.client_id or self._is_forgotten(kind, found):
            raise PayPalFailure(404, "INVALID_RESOURCE_ID", "Specified resource ID does not exist.")
        return found

    def order_of(self, payment: Json) -> Json:
        """Return the order of a payment."""
        order_id: str = payment["supplementary_data"]["related_ids"]["order_id"]
        return self.objects["order"][order_id]

    def funding_of(self, order: Json) -> Funding:
        """Return what the buyer of an order pays with."""
        return FUNDINGS[self.funding.get(order["id"], BALANCE)]

    def move(self, kind: MovementKind, payment: Json, amount: int, payment_id: str, key: str) -> None:
        """Book a movement of money, in minor units, of a payment that belongs to the charge ``payment_id``."""
        self.ledger.add(
            Movement(
                kind=kind,
                id=payment["id"],
                payment_id=payment_id,
                amount=amount,
                currency=payment["amount"]["currency_code"],
                checkout_id=self.order_of(payment)["purchase_units"][0]["reference_id"],
                operation_key=key,
                moved_at=self.clock(),
                account=self.owner_of(payment["id"]),
            )
        )

    def move_all(self, kind: MovementKind, payment: Json, payment_id: str, key: str) -> None:
        """Book the whole amount of a payment."""
        self.move(kind, payment, minor_units(payment["amount"]), payment_id, key)

    def as_json(self) -> Json:
        """Return everything, for a reader in another process."""
        shown = {f"{kind}s": list(objects.values()) for kind, objects in self.objects.items()}
        return {**self.ledger.as_json(), **shown}

    def _is_forgotten(self, kind: Kind, found: Json) -> bool:
        if kind != "order" or found["status"] not in {"CREATED", "PAYER_ACTION_REQUIRED"}:
            return False
        return self.clock() - datetime.fromisoformat(found["create_time"]).timestamp() * 1000 >= ORDER_MS


def key_of(order: Json) -> str:
    """Return our key of the charge of an order."""
    custom_id: str = order["purchase_units"][0].get("custom_id") or ""
    return custom_id.partition(SEP)[0]
