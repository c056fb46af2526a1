"""The ledger of a double: each movement of money, in one form for all providers, so that one oracle reads them all."""

from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

import msgspec

from paidonce.clock import Instant

MovementKind: TypeAlias = Literal["charge", "authorization", "capture", "release", "refund", "refund_failed"]
"""A ``charge`` takes money at once. An ``authorization`` holds it; a ``capture`` takes a part of it or all, and a
``release`` gives back what is held. ``refund_failed`` gives the merchant back what a refund had taken."""


class Movement(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A movement of money. ``amount`` is in minor units of ISO 4217, ``currency`` in capitals.

    ``id`` is the provider's id of what moved it, such as a refund, and ``payment_id`` the id of the payment that it
    belongs to, which is the reference of a charge in paidonce. ``operation_key`` is the key of our attempt; empty where
    the provider is not told it. ``account`` is the credential of the account that owns it.
    """

    kind: MovementKind
    id: str
    payment_id: str
    amount: int
    currency: str
    checkout_id: str
    operation_key: str
    moved_at: Instant
    account: str


class Ledger:
    """All movements, in order."""

    def __init__(self) -> None:
        self.movements: list[Movement] = []

    def __iter__(self) -> Iterator[Movement]:
        """Iterate over all movements."""
        return iter(self.movements)

    def add(self, movement: Movement) -> None:
        """Book a movement."""
        self.movements.append(movement)

    def charged(self) -> dict[str, list[int]]:
        """Return the amounts that each checkout was charged, by our id of the checkout. Refunds are not taken off."""
        return self._amounts("charge", "capture")

    def charged_or_held(self) -> dict[str, list[int]]:
        """Return the amounts that each checkout was charged at once, or authorized."""
        return self._amounts("charge", "authorization")

    def as_json(self) -> dict[str, Any]:
        """Return everything, for a reader in another process."""
        return {"charged": self.charged(), "movements": msgspec.to_builtins(self.movements)}

    def _amounts(self, *kinds: MovementKind) -> dict[str, list[int]]:
        amounts: dict[str, list[int]] = {}
        for movement in self.movements:
            if movement.kind in kinds:
                amounts.setdefault(movement.checkout_id, []).append(movement.amount)
        return amounts
