"""The objects of the double, and its books: each movement of money, and whose it was."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import iso4217

from paidonce.clock import Clock
from paidonce.proving.doubles.adyen.params import AdyenFailure
from paidonce.proving.doubles.calls import Json
from paidonce.proving.doubles.ledger import Ledger, Movement, MovementKind

ID_LENGTH: Final = 14

# Adyen's table of currencies (docs.adyen.com/development-resources/currency-codes) differs from ISO 4217 in these.
DECIMALS: Final = {"CLP": 2, "CVE": 0, "IDR": 0, "ISK": 2}
ISO: Final = {currency.code: currency.exponent or 0 for currency in iso4217.Currency}


class Books:
    """All objects by id, as Adyen writes them, and the ledger.

    A payment has, beside Adyen's fields, what is authorized, captured and refunded. ``api_key`` is that of the call
    that is being executed; on a page it is that of the owner. ``tell`` is called with each notification.
    """

    tell: Callable[[str, Json], None]

    def __init__(self, *, url: str, clock: Clock) -> None:
        self.url = url
        self.clock = clock
        self.ledger = Ledger()
        self.api_key = ""
        self.links: dict[str, Json] = {}
        self.payments: dict[str, Json] = {}
        self.modifications: dict[str, Json] = {}
        self.webhooks: list[bytes] = []
        self._owners: dict[str, str] = {}
        self._count = 0

    def new_id(self, prefix: str) -> str:
        """Return another id: they are numbered, so that a run with a seed repeats."""
        self._count += 1
        made = f"{prefix}{self._count:0{ID_LENGTH}d}"
        self._owners[made] = self.api_key
        return made

    def owner_of(self, object_id: str) -> str:
        """Return the API key of the account that an object belongs to; empty where there is none."""
        return self._owners.get(object_id, "")

    def link(self, link_id: str) -> Json:
        """Return a link, expired where its time is over; raises AdyenFailure where there is none."""
        link = self.links.get(link_id)
        if link is None or self.owner_of(link_id) != self.api_key:
            raise AdyenFailure(404, "000", "The payment link was not found")
        if link["status"] == "active" and datetime.fromisoformat(link["expiresAt"]).timestamp() * 1000 <= self.clock():
            link["status"] = "expired"
        return link

    def payment(self, reference: str) -> Json:
        """Return a payment; raises AdyenFailure where there is none."""
        payment = self.payments.get(reference)
        if payment is None or self.owner_of(reference) != self.api_key:
            raise AdyenFailure(422, "167", "Original pspReference required for this operation")
        return payment

    def move(self, kind: MovementKind, source: Json, payment: Json, value: int) -> None:
        """Book a movement of money, in Adyen's unit, by a payment or a modification of it."""
        currency = payment["amount"]["currency"]
        self.ledger.add(
            Movement(
                kind=kind,
                id=source["pspReference"],
                payment_id=payment["pspReference"],
                amount=_minor_units(value, currency),
                currency=currency,
                checkout_id=payment["metadata"].get("paidonce_checkout", ""),
                operation_key=source["reference"].rpartition(".")[0],
                moved_at=self.clock(),
                account=self.owner_of(payment["pspReference"]),
            )
        )

    def as_json(self) -> Json:
        """Return everything, for a reader in another process."""
        return {
            **self.ledger.as_json(),
            "links": list(self.links.values()),
            "payments": list(self.payments.values()),
            "modifications": list(self.modifications.values()),
        }


def format_time(milliseconds: int) -> str:
    """Write a time as Adyen does."""
    return datetime.fromtimestamp(milliseconds // 1000, UTC).isoformat()


def _minor_units(value: int, currency: str) -> int:
    shift = ISO[currency] - DECIMALS.get(currency, ISO[currency])
    factor: int = 10 ** abs(shift)
    return value * factor if shift >= 0 else value // factor
