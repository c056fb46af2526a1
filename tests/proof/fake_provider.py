"""An in-memory provider with books and random or scripted faults, for proofs with a thousand payments a second."""

import asyncio
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Final, NamedTuple

import msgspec

from paidonce.clock import Clock, Instant
from paidonce.providers.base import Capabilities, ChargeRequest, Modification, OperationSupport
from paidonce.providers.evidence import Authorized, Declined, Evidence, NotFound, OperationKind, Succeeded, Unknown

KINDS: Final[dict[str, OperationKind]] = {
    "CHARGE": "charge",
    "CAPTURE": "capture",
    "VOID": "void",
    "REFUND": "refund",
}


def _capabilities(*, key_lifetime_seconds: int) -> Capabilities:
    support = OperationSupport(key_lifetime_seconds=key_lifetime_seconds, can_be_looked_up=True)
    return Capabilities(
        charge=support,
        capture=support,
        void=support,
        refund=support,
        manual_capture=True,
        partial_refund=True,
        webhooks=True,
    )


CAPABILITIES: Final = _capabilities(key_lifetime_seconds=365 * 86_400)
DEDUPLICATES_NOT: Final = _capabilities(key_lifetime_seconds=0)


class FakeOutcome(Enum):
    """The outcome of a call."""

    WELL = "it is booked and answered"
    DECLINED = "it is declined"
    LOST = "it never arrives"
    UNANSWERED = "it is booked, and the answer is lost"
    SILENT = "it is booked, and no answer ever comes"
    HIDDEN = "it is booked, the answer is lost, and look-ups know nothing of it for a while"


class FakeCharge(msgspec.Struct):
    """A charge in the books. Its fields are named as the simulator's."""

    key: str
    reference: str
    checkout_id: str
    merchant_id: str
    amount: int
    currency: str
    status: str
    decline_code: str | None
    amount_captured: int
    amount_refunded: int
    created_at: Instant
    visible_at: Instant


class Change(NamedTuple):
    """A change of a charge in the books."""

    key: str
    reference: str
    charge_reference: str
    kind: str
    amount: int
    decline_code: str | None
    created_at: Instant


class FakeProvider:
    """``going`` returns the outcome of the next call, ``latency`` half of its duration in seconds; ``hidden_ms`` is
    how long a hidden one cannot be looked up.
    """

    name: Final = "simulator"

    def __init__(
        self,
        clock: Clock,
        going: Callable[[], FakeOutcome],
        *,
        latency: Callable[[], float] = float,
        capabilities: Capabilities = CAPABILITIES,
        hidden_ms: int = 3000,
    ) -> None:
        self.capabilities: Final = capabilities
        self.charges: list[FakeCharge] = []
        self.changes: list[Change] = []
        self._by_key: dict[str, FakeCharge | Change] = {}
        self._clock = clock
        self._going = going
        self._latency = latency
        self._hidden_ms = hidden_ms
        self.calls = 0

    def evidence(self, key: str) -> Evidence:
        """Return what the books prove about a key."""
        found = self._by_key.get(key)
        if found is None or (isinstance(found, FakeCharge) and found.visible_at > self._clock()):
            return NotFound()
        kind = KINDS["CHARGE" if isinstance(found, FakeCharge) else found.kind]
        if found.decline_code is not None:
            return Declined(found.decline_code, found.reference, kind)
        held = isinstance(found, FakeCharge) and found.status in ("authorized", "voided")
        return (Authorized if held else Succeeded)(found.reference, kind=kind)

    def declined(self) -> list[str]:
        """Return the keys of what was declined and can still be confirmed."""
        lines = {one.reference: one for one in self.charges}
        changes = [
            one
            for one in self.changes
            if one.decline_code is not None
            and not self._refuses(one.kind, lines[one.charge_reference], one.amount, decline=False)
        ]
        charges = [one.key for one in self.charges if one.decline_code is not None]
        return charges + [one.key for one in changes]

    def confirm_late(self, key: str, *, capture: bool) -> Evidence:
        """Let a charge, capture or refund succeed that was declined; returns what proves it."""
        found = self._by_key[key]
        if isinstance(found, FakeCharge):
            found.decline_code, found.status = None, "succeeded" if capture else "authorized"
            found.amount_captured = found.amount if capture else 0
        else:
            line = next(one for one in self.charges if one.reference == found.charge_reference)
            self._apply(found.kind, line, found.amount)
            # With another reference: a refund that failed does not succeed, but another one may.
            confirmed = found._replace(decline_code=None, reference=f"{found.reference}_late")
            self.changes[self.changes.index(found)] = self._by_key[key] = confirmed
        return self.evidence(key)

    async def charge(self, request: ChargeRequest) -> Evidence:
        def book(key: str, reference: str, *, decline: bool, visible_at: Instant) -> FakeCharge:
            status = "declined" if decline else "succeeded" if request.capture else "authorized"
            line = FakeCharge(
                key=key,
                reference=reference,
                checkout_id=request.checkout_id,
                merchant_id=request.merchant_id,
                amount=request.money.amount,
                currency=request.money.currency,
                status=status,
                decline_code="do_not_honor" if decline else None,
                amount_captured=request.money.amount if status == "succeeded" else 0,
                amount_refunded=0,
                created_at=self._clock(),
                visible_at=visible_at,
            )
            self.charges.append(line)
            return line

        evidence = await self._call(request.key, book)
        # The result of an authorization stays an authorization, whatever happened to it since.
        return Authorized(evidence.reference) if isinstance(evidence, Succeeded) and not request.capture else evidence

    async def capture(self, request: Modification) -> Evidence:
        return await self._change("CAPTURE", request)

    async def void(self, request: Modification) -> Evidence:
        return await self._change("VOID", request)

    async def refund(self, request: Modification) -> Evidence:
        return await self._change("REFUND", request)

    async def _change(self, kind: str, request: Modification) -> Evidence:
        line = next(one for one in self.charges if one.reference == request.charge_reference)

        def book(key: str, reference: str, *, decline: bool, visible_at: Instant) -> Change:  # noqa: ARG001 - as above
            code = "refused" if self._refuses(kind, line, request.money.amount, decline=decline) else None
            if code is None:
                self._apply(kind, line, request.money.amount)
            change = Change(key, reference, line.reference, kind, request.money.amount, code, self._clock())
            self.changes.append(change)
            return change

        return await self._call(request.key, book)

    @staticmethod
    def _apply(kind: str, line: FakeCharge, amount: int) -> None:
        if kind == "CAPTURE":
            line.status, line.amount_captured = "succeeded", amount
        elif kind == "VOID":
            line.status = "voided"
        else:
            line.amount_refunded += amount

    @staticmethod
    def _refuses(kind: str, line: FakeCharge, amount: int, *, decline: bool) -> bool:
        if kind == "REFUND":
            return decline or amount > line.amount_captured - line.amount_refunded
        return line.status != "authorized" or (decline and kind == "CAPTURE")

    async def _call(self, key: str, book: Callable[..., Any]) -> Evidence:
        going = self._going()
        self.calls += 1
        await asyncio.sleep(self._latency())
        if going is FakeOutcome.LOST:
            return Unknown("the call was lost")
        if not (self.capabilities.charge.key_lifetime_seconds and key in self._by_key):
            visible_at = self._clock() + (self._hidden_ms if going is FakeOutcome.HIDDEN else 0)
            reference = f"ref_{len(self.charges) + len(self.changes)}"
            self._by_key[key] = book(key, reference, decline=going is FakeOutcome.DECLINED, visible_at=visible_at)
        await asyncio.sleep(self._latency())
        if going is FakeOutcome.SILENT:
            await asyncio.Event().wait()
        if going in (FakeOutcome.UNANSWERED, FakeOutcome.HIDDEN):
            return Unknown("the answer was lost")
        return self.evidence(key)

    async def look_up(self, request: ChargeRequest | Modification) -> Evidence:
        going = self._going()
        await asyncio.sleep(self._latency())
        return (
            Unknown("the look-up was lost")
            if going in (FakeOutcome.LOST, FakeOutcome.UNANSWERED)
            else self.evidence(request.key)
        )

    def opens_session(self, payment_method: str) -> bool:  # noqa: ARG002 - the protocol's
        return False

    async def open(self, request: ChargeRequest) -> Evidence:
        raise NotImplementedError(request)

    async def close(self, request: ChargeRequest) -> Evidence:
        raise NotImplementedError(request)

    async def check(self) -> list[str]:
        return []

    async def disconnect(self) -> None:
        pass

    async def read_webhook(self, headers: Mapping[str, str], body: bytes) -> None:  # noqa: ARG002 - the protocol's
        return None
