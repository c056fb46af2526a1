"""A random history of a merchant: purchases that succeed, fail, are refunded, disputed, canceled and expire."""

from random import Random
from typing import Any, Final

from paidonce.checkouts.actions import create_checkouts, expire_checkouts
from paidonce.checkouts.model import CheckoutStatus
from paidonce.errors import PaidonceError
from paidonce.merchants.model import TenantScopedId
from paidonce.payments.model import AttemptStatus
from paidonce.payments.store import read_attempts
from paidonce.providers.evidence import Authorized, Declined, Dispute, ExternalRefund, Succeeded, Unknown
from tests.support.payments import Payments, new_checkout

CODES: Final = ("insufficient_funds", "expired_card")
STEP_MS_MAX: Final = 1_200_000


class Trade:
    """What happens is drawn from ``chance``. Only what the state of a checkout permits takes effect."""

    def __init__(self, payments: Payments, chance: Random, *, tenants: tuple[tuple[str, str], ...]) -> None:
        self.payments = payments
        self.chance = chance
        self.tenants = tenants
        self.checkouts: list[TenantScopedId] = []
        self.attempts: list[str] = []
        self.refunds: list[str] = []
        self._count = 0

    def go_on(self) -> None:
        """Let one thing happen, some time after the last one."""
        self.payments.now += self.chance.choice((0, 1, 700, STEP_MS_MAX))
        happening = self.chance.choice(
            (
                self.create,
                self.create,
                self.pay,
                self.pay,
                self.prove,
                self.prove,
                self.prove,
                self.capture,
                self.cancel,
                self.refund,
                self.refund,
                self.prove_refund,
                self.prove_refund,
                self.dispute,
                self.dispute,
                self.refund_at_the_provider,
                self.expire,
            )
        )
        happening()

    def _name(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}_{self._count}"

    def create(self) -> None:
        merchant_id, mode = self.chance.choice(self.tenants)
        command = new_checkout(
            self._name("c"),
            amount=self.chance.randint(1, 999),
            manual=self.chance.random() < 0.3,
            merchant_id=merchant_id,
            mode=mode,
        )
        self.payments.do(create_checkouts, command)
        self.checkouts.append(TenantScopedId(command.id, merchant_id, mode))

    def _any_checkout(self) -> TenantScopedId | None:
        return self.chance.choice(self.checkouts[-8:]) if self.checkouts else None

    def pay(self) -> None:
        checkout = self._any_checkout()
        if checkout is not None:
            name = self._name("att")
            provider = self.chance.choice(("simulator", "other"))
            outcome = self.payments.pay(checkout, name, mode=checkout.mode, provider=provider)
            if not isinstance(outcome, PaidonceError) and outcome.checkout.attempt.id == name:
                self.attempts.append(name)

    def prove(self) -> None:
        if self.attempts:
            name = self.chance.choice(self.attempts[-6:])
            proof = Authorized if self.payments.attempt(name).kind == "AUTHORIZE" else Succeeded
            code = self.chance.choice(CODES)
            evidence = (proof(f"ch_{name}"), proof(f"ch_{name}"), Declined(code, f"ch_{name}"), Unknown("no answer"))
            self.payments.prove(name, self.chance.choice(evidence))

    def capture(self) -> None:
        checkout = self._any_checkout()
        if checkout is not None:
            name = self._name("att")
            self.payments.capture(checkout, name)
            self._remember(name)

    def cancel(self) -> None:
        checkout = self._any_checkout()
        if checkout is not None:
            name = self._name("att")
            self.payments.cancel(checkout, name)
            self._remember(name)

    def _remember(self, name: str) -> None:
        """Go on with an attempt, if there is one: what was done already, or cannot be done, begins none."""
        with self.payments.database.read() as transaction:
            if name in read_attempts(transaction, [name]):
                self.attempts.append(name)

    def refund(self) -> None:
        checkout = self._any_checkout()
        if checkout is not None:
            name = self._name("ref")
            amount = self.chance.choice((None, 1, 50))
            if not isinstance(self.payments.refund(checkout, name, amount), PaidonceError):
                self.refunds.append(name)

    def prove_refund(self) -> None:
        """A refund may fail after it succeeded."""
        if self.refunds:
            name = self.chance.choice(self.refunds[-4:])
            proofs = (Succeeded(f"re_{name}"), Succeeded(f"re_{name}"), Declined("declined", f"re_{name}"))
            self.payments.prove(name, self.chance.choice(proofs))

    def _any_charge(self) -> str | None:
        paid = [one for one in self.attempts[-8:] if self._is_paid(one)]
        return self.chance.choice(paid) if paid else None

    def _is_paid(self, name: str) -> bool:
        found = self.payments.attempt(name)
        checkout = self.payments.checkout(TenantScopedId(found.checkout_id, found.merchant_id))
        return found.status == AttemptStatus.SUCCEEDED and checkout.status == CheckoutStatus.COMPLETED

    def dispute(self) -> None:
        charge = self._any_charge()
        if charge is not None:
            status: Any = self.chance.choice(("opened", "won", "lost"))
            currency = self.chance.choice(("USD", "USD", "USD", "EUR"))
            reference = self.chance.choice(("dp_1", "dp_2"))
            self.payments.change(Dispute(reference, status, 40, currency, None), charge)

    def refund_at_the_provider(self) -> None:
        charge = self._any_charge()
        if charge is not None:
            self.payments.change(ExternalRefund(self._name("re"), "succeeded", 3, "USD"), charge)

    def expire(self) -> None:
        if self.chance.random() < 0.2:
            self.payments.now += 2 * 86_400_000
            self.payments.do(expire_checkouts, 100)
