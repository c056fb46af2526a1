"""The objects of the double, its ledger, and what its calls and its buyers change."""

from collections.abc import Callable
from typing import Any, Final

from paidonce.clock import Clock
from paidonce.proving.doubles.calls import ApiFailure, Json, Reply
from paidonce.proving.doubles.ledger import Ledger, Movement, MovementKind

MOVEMENTS: Final[dict[str, MovementKind]] = {"capture": "capture", "void": "release", "refund": "refund"}


class Payment:
    """A payment of one account. ``shown`` is what the API answers."""

    def __init__(self, account: str, given: Json, payment_id: str, url: str) -> None:
        self.account = account
        self.checkout = str(given["checkout"])
        self.capture = bool(given["capture"])
        self.return_url = str(given["returnUrl"])
        self.held = self.refundable = 0
        self.shown: Json = {
            "id": payment_id,
            "key": given["key"],
            "status": "open",
            "amount": given["amount"],
            "currency": given["currency"],
            "url": url,
            "failure": None,
        }


class Books:
    """All objects. ``tell`` is called with the type of an event and its payment."""

    def __init__(self, *, url: str, clock: Clock) -> None:
        self.url = url
        self.clock = clock
        self.ledger = Ledger()
        self.payments: dict[str, Payment] = {}
        self.operations: dict[str, Json] = {}
        self.tell: Callable[[str, Payment], Any] = lambda _kind, _payment: None
        self._count = 0

    def as_json(self) -> Json:
        """Return the ledger, and the payments."""
        return {**self.ledger.as_json(), "payments": [one.shown for one in self.payments.values()]}

    def new_id(self, prefix: str) -> str:
        """Return another id: they are numbered, so that a run with a seed repeats."""
        self._count += 1
        return f"{prefix}_{self._count:08d}"

    def found(self, payment_id: str, account: str | None = None) -> Payment:
        """Return a payment, of this account where one is named; raises ApiFailure where there is none."""
        payment = self.payments.get(payment_id)
        if payment is None or account not in (None, payment.account):
            raise failed(404, "there is no such payment")
        return payment

    def create(self, account: str, given: Json) -> Json:
        """Create a payment that is open."""
        payment_id = self.new_id("pay")
        payment = Payment(account, given, payment_id, f"{self.url}/pay/{payment_id}")
        self.payments[payment_id] = payment
        return payment.shown

    def close(self, payment: Payment) -> Json:
        """Close a payment that is open."""
        if payment.shown["status"] not in ("open", "closed"):
            raise failed(422, "the payment is not open")
        payment.shown["status"] = "closed"
        return payment.shown

    def pay(self, payment: Payment) -> None:
        """Charge or authorize, as the buyer asks for."""
        amount = payment.shown["amount"]
        payment.shown["status"] = "paid" if payment.capture else "authorized"
        payment.held, payment.refundable = (0, amount) if payment.capture else (amount, 0)
        self._move("charge" if payment.capture else "authorization", payment, payment.shown["id"], amount)
        self.tell(f"payment.{payment.shown['status']}", payment)

    def decline(self, payment: Payment, failure: str) -> None:
        """Let the buyer's bank decline."""
        payment.shown.update(status="failed", failure=failure)
        self.tell("payment.failed", payment)

    def modify(self, kind: str, payment: Payment, given: Json) -> Json:
        """Capture, void or refund; raises ApiFailure where the state of the payment does not allow it."""
        amount: int = given["amount"]
        if not 0 < amount <= (payment.refundable if kind == "refund" else payment.held):
            raise failed(422, f"no {kind} of this amount is possible")
        if kind == "refund":
            payment.refundable -= amount
        else:
            payment.held, payment.refundable = 0, amount if kind == "capture" else 0
        operation: Json = {
            "id": self.new_id(kind),
            "key": given["key"],
            "payment": payment.shown["id"],
            "amount": amount,
            "currency": payment.shown["currency"],
        }
        self.operations[given["key"]] = operation
        self._move(MOVEMENTS[kind], payment, operation["id"], amount, given["key"])
        return operation

    def _move(self, kind: MovementKind, payment: Payment, moved_by: str, amount: int, key: str | None = None) -> None:
        self.ledger.add(
            Movement(
                kind=kind,
                id=moved_by,
                payment_id=payment.shown["id"],
                amount=amount,
                currency=payment.shown["currency"],
                account=payment.account,
                checkout_id=payment.checkout,
                operation_key=key or payment.shown["key"],
                moved_at=self.clock(),
            )
        )


def failed(status: int, error: str) -> ApiFailure:
    """Return a failure, as Example Pay writes it."""
    return ApiFailure(Reply(status, {"error": error}))
