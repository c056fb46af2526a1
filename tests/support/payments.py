"""Checkouts and payments, driven through the actions alone, on a database whose clock the test controls."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias, cast

from sqlalchemy import update

from paidonce.checkouts.actions import create_checkouts, load_checkouts, load_timelines
from paidonce.checkouts.list_store import CheckoutFilter
from paidonce.checkouts.listing import list_checkouts
from paidonce.checkouts.model import Checkout, NewCheckout, ProviderRoute
from paidonce.clock import Clock, Instant
from paidonce.database.batcher import Batcher
from paidonce.database.engine import Database, open_database
from paidonce.database.schema import checkout as checkout_table
from paidonce.database.transaction import Transaction
from paidonce.database_url import parse_database_url
from paidonce.events.model import Cause, Event
from paidonce.events.store import write_events
from paidonce.ids import new_id
from paidonce.merchants.model import Mode, TenantScopedId
from paidonce.payments.capture import StartCancel, StartCapture, start_cancels, start_captures
from paidonce.payments.claiming import ClaimAttempts, claim_attempts
from paidonce.payments.dispute_store import RecordedDispute
from paidonce.payments.disputes import load_disputes_of_checkouts
from paidonce.payments.external_changes import RecordChange, record_changes
from paidonce.payments.model import Attempt
from paidonce.payments.pay import StartOutcome, StartPayment, start_payments
from paidonce.payments.refund import StartRefund, load_refunds_of_checkouts, start_refunds
from paidonce.payments.schedule import LookupSchedule
from paidonce.payments.settle import RecordEvidence, Settled, record_evidence
from paidonce.payments.store import read_attempts
from paidonce.provider_accounts.actions import CreateAccount, create_accounts
from paidonce.providers.evidence import Authorized, Evidence, ExternalChange, Succeeded
from tests.support.databases import make_schema

NOW: Final = 1_700_000_000_000
LEASE_MS: Final = 30_000
DAY_MS: Final = 86_400_000

AnyOutcome: TypeAlias = Any
"""The outcome of any action."""
AnyValue: TypeAlias = Any
"""The value of a field of a request."""
AnyAction: TypeAlias = Callable[[Transaction, Any], Sequence[Any]]
StartAction: TypeAlias = Callable[[Transaction, Any], list[StartOutcome]]


class Interrupted(Transaction):
    """A transaction in which another process commits right after the first read.

    PostgreSQL allows that between any two statements (READ COMMITTED). Here the other's work is done in the same
    transaction, so that every test of it is repeatable and runs on both databases.
    """

    def __init__(self, transaction: Transaction, work: Callable[[Transaction], object]) -> None:
        super().__init__(transaction.connection, transaction.now, transaction.events)
        self._work: Callable[[Transaction], object] | None = work

    def rows(self, statement: Any, parameters: Any = None) -> Any:  # noqa: ANN401 - as Transaction's
        found = super().rows(statement, parameters)
        work, self._work = self._work, None
        if work is not None:
            other = Transaction(self.connection, self.now)
            work(other)
            write_events(other)
        return found


class Payments:
    """The actions of merchants on one database. Each call is one transaction. The clock stands still until it is
    moved.
    """

    def __init__(self, database_url: str, *, clock: Clock | None = None) -> None:
        self.now: Instant = NOW
        self.clock: Clock = clock or (lambda: self.now)
        self.url = database_url
        self.database = self.open()
        make_schema(self.database)

    def open(self) -> Database:
        """Open the database again, as another process would."""
        return open_database(
            parse_database_url(self.url), clock=self.clock, before_commit=write_events, exclusive=False
        )

    def do(self, action: AnyAction, *requests: object) -> list[Any]:
        with self.database.write() as transaction:
            return list(action(transaction, requests))

    def do_interrupted(self, by: AnyAction, theirs: object, action: AnyAction, *requests: object) -> list[Any]:
        """Run an action, and another one of another process in the middle of it."""
        with self.database.write() as transaction:
            return list(action(Interrupted(transaction, lambda other: by(other, [theirs])), requests))

    async def submit(self, action: AnyAction, request: object) -> AnyOutcome:
        """Run an action as a Batcher does."""
        return self.do(action, request)[0]

    def listing(self, wanted: CheckoutFilter) -> tuple[Sequence[Checkout], bool]:
        """Return a page of checkouts, and whether there is a next page."""
        return asyncio.run(list_checkouts(cast("Batcher", self), wanted))

    def create(
        self, name: str = "1", *, amount: int = 1000, manual: bool = False, merchant_id: str = "m", **changed: AnyValue
    ) -> TenantScopedId:
        command = new_checkout(name, amount=amount, manual=manual, merchant_id=merchant_id, **changed)
        self.do(create_checkouts, command)
        return TenantScopedId(command.id, merchant_id)

    def pay(self, checkout: TenantScopedId, attempt_id: str = "att_1", **changed: AnyValue) -> AnyOutcome:
        return self.do(start_payments, payment(checkout, attempt_id, **changed))[0]

    def capture(self, checkout: TenantScopedId, attempt_id: str = "att_2", amount: int | None = None) -> AnyOutcome:
        return self.do(start_captures, StartCapture(attempt_id=attempt_id, checkout=checkout, amount=amount))[0]

    def cancel(self, checkout: TenantScopedId, attempt_id: str = "att_2") -> AnyOutcome:
        return self.do(start_cancels, StartCancel(attempt_id=attempt_id, checkout=checkout))[0]

    def refund(self, checkout: TenantScopedId, attempt_id: str = "ref_1", amount: int | None = None) -> AnyOutcome:
        return self.do(start_refunds, StartRefund(attempt_id=attempt_id, checkout=checkout, amount=amount))[0]

    def claim(self, limit: int = 10, provider: str = "simulator", lease_ms: int = LEASE_MS) -> list[Attempt]:
        claimed: list[Attempt] = self.do(claim_attempts, ClaimAttempts(provider, limit, lease_ms))[0]
        return claimed

    def record(self, *told: RecordEvidence) -> list[Settled]:
        return self.do(record_evidence, *told)

    def prove(self, attempt_id: str, evidence: Evidence, **changed: AnyValue) -> Settled:
        return self.record(evidence_about(attempt_id, evidence, **changed))[0]

    def change(self, change: ExternalChange, attempt_id: str = "att_1") -> str:
        """Record what was done at the provider to the charge of an attempt; returns what came of it."""
        outcome = self.do(record_changes, external(self.attempt(attempt_id), change))[0]
        return str(outcome.result)

    def disputes(self, checkout: TenantScopedId) -> list[RecordedDispute]:
        with self.database.read() as transaction:
            (found,) = load_disputes_of_checkouts(transaction, [checkout])
        assert isinstance(found, list)
        return found

    def paid(
        self, name: str = "1", *, attempt_id: str = "att_1", reference: str = "ch_1", **changed: AnyValue
    ) -> TenantScopedId:
        """Create a paid checkout; with ``manual=True`` it is authorized only."""
        checkout = self.create(name, **changed)
        self.pay(checkout, attempt_id)
        self.prove(attempt_id, Authorized(reference) if changed.get("manual") else Succeeded(reference))
        return checkout

    def checkout(self, checkout: TenantScopedId) -> Checkout:
        with self.database.read() as transaction:
            (found,) = load_checkouts(transaction, [checkout])
        assert isinstance(found, Checkout)
        return found

    def status(self, checkout: TenantScopedId) -> str:
        return self.checkout(checkout).status

    def sums(self, checkout: TenantScopedId) -> tuple[int, int, int]:
        """Return the captured, the refunded, and the pending refund amounts."""
        found = self.checkout(checkout)
        return found.amount_captured, found.amount_refunded, found.amount_refund_pending

    def attempt(self, attempt_id: str) -> Attempt:
        with self.database.read() as transaction:
            return read_attempts(transaction, [attempt_id])[attempt_id]

    def add_account(self, provider: str, account_id: str) -> None:
        """Add an account of merchant m, whose credentials nobody can read."""
        account = CreateAccount(
            id=account_id,
            merchant_id="m",
            provider=provider,
            mode=Mode.TEST,
            name=provider,
            credentials="v1.sealed",
            hints="{}",
        )
        self.do(create_accounts, account)

    def lose_attempt_of(self, checkout: TenantScopedId) -> None:
        """Have a checkout that does not name its newest attempt any more, which only a defect can leave behind."""
        with self.database.writes.begin() as connection:
            named = update(checkout_table).where(checkout_table.c.id == checkout.id)
            connection.execute(named.values(attempt_id=None))

    def refunds(self, checkout: TenantScopedId) -> list[Attempt]:
        with self.database.read() as transaction:
            (found,) = load_refunds_of_checkouts(transaction, [checkout])
        assert isinstance(found, list)
        return found

    def events(self, checkout: TenantScopedId) -> Sequence[Event]:
        with self.database.read() as transaction:
            (found,) = load_timelines(transaction, [checkout])
        assert not isinstance(found, Exception)
        return found

    def history(self, checkout: TenantScopedId) -> list[str]:
        return [event.type for event in self.events(checkout)]


def new_checkout(
    name: str, *, amount: int = 1000, manual: bool = False, merchant_id: str = "m", **changed: AnyValue
) -> NewCheckout:
    return NewCheckout(
        id=f"chk_{name}",
        merchant_id=merchant_id,
        idempotency_key=name,
        amount=amount,
        currency="USD",
        capture_method="manual" if manual else "automatic",
        **changed,
    )


def payment(checkout: TenantScopedId, attempt_id: str = "att_1", **changed: AnyValue) -> StartPayment:
    route = ProviderRoute(changed.pop("provider", "simulator"), changed.pop("account_id", None))
    fields = {"payment_method": "tok", "route": route, **changed}
    return StartPayment(attempt_id=attempt_id, checkout=checkout, **fields)


def evidence_about(
    attempt_id: str, evidence: Evidence, *, cause: Cause = Cause.PROVIDER_ANSWER, **changed: AnyValue
) -> RecordEvidence:
    return RecordEvidence(
        attempt_id=attempt_id, evidence=evidence, cause=cause, schedule=LookupSchedule(), chance=0.5, **changed
    )


def external(charge: Attempt, change: ExternalChange) -> RecordChange:
    return RecordChange(charge=charge, change=change, schedule=LookupSchedule(), chance=0.5, new_id=new_id)


def told(error: object) -> tuple[type, str]:
    """Return the type and message of an error, for comparison."""
    return type(error), str(error)
