"""A state machine test: clients, workers, a provider and a clock in any order. The invariants hold after each step,
on a real SQLite.
"""

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from sqlalchemy import delete

from paidonce import ids
from paidonce.checkouts.actions import Created, Replayed, create_checkouts, expire_checkouts, load_checkouts
from paidonce.checkouts.model import Checkout, NewCheckout, ProviderRoute
from paidonce.database.engine import Database
from paidonce.database.schema import attempt, checkout, event, idempotency_key, merchant
from paidonce.errors import IdempotencyKeyReused
from paidonce.events.model import Cause
from paidonce.idempotency.actions import with_idempotency
from paidonce.idempotency.model import AlreadyProcessed
from paidonce.merchants.model import TenantScopedId
from paidonce.payments.capture import (
    StartCancel,
    StartCapture,
    VoidExpired,
    start_cancels,
    start_captures,
    void_expired,
)
from paidonce.payments.claiming import ClaimAttempts, claim_attempts
from paidonce.payments.model import Attempt
from paidonce.payments.pay import Started, StartPayment, start_payments
from paidonce.payments.provider_calls import Called, ProviderCaller
from paidonce.payments.providers import PaymentProviders
from paidonce.payments.refund import StartRefund, start_refunds
from paidonce.payments.schedule import LookupSchedule
from paidonce.payments.sessions import ChargeSession, commit_charged_sessions
from paidonce.payments.settle import RecordEvidence, record_evidence
from paidonce.payments.store import read_attempts
from paidonce.providers.evidence import Evidence, NotFound
from paidonce.proving.oracle import find_violations
from paidonce.proving.snapshot import Snapshot, read_rows
from tests.proof.buyer import idempotency_for
from tests.proof.fake_provider import FakeOutcome, FakeProvider
from tests.proof.virtual_time import VirtualLoop

LEASE_MS = 30_000
KEYS = st.sampled_from(["k1", "k2"])  # Few, so that requests collide.
AMOUNTS = st.sampled_from([1000, 700])
WHICH = st.integers(0, 20)


class Clock:
    now = 1_700_000_000_000

    def __call__(self) -> int:
        return self.now


class Machine(RuleBasedStateMachine):
    """The reference model: which key has which checkout, and the provider's books."""

    database: Database
    clock: Clock
    loop: VirtualLoop

    @initialize()
    def begin(self) -> None:
        with self.database.writes.begin() as connection:
            for table in (event, attempt, checkout, merchant, idempotency_key):
                connection.execute(delete(table))
        self.clock.now = Clock.now
        self.going = FakeOutcome.WELL
        self.provider = FakeProvider(self.clock, lambda: self.going)
        self.caller = ProviderCaller(
            PaymentProviders({"simulator": self.provider}).find,
            timeout_seconds=20.0,
            clock=self.clock,
            commit_session=self.commit_session,
            load_checkout=self.load_checkout,
        )
        self.checkouts: dict[str, tuple[str, int]] = {}
        self.held: list[Attempt] = []
        self.keys: dict[tuple[str, str], tuple[str, int | None]] = {}
        self.answers: list[Called] = []
        for key, method in (("k1", "automatic"), ("k2", "manual")):
            self.make(key, 1000, method)
        for which in range(2):
            self.pay_for(which, leased=True)

    async def commit_session(self, charging: Attempt, reference: str) -> Attempt | None:
        committed: Attempt | None = self.run(commit_charged_sessions, ChargeSession(charging, reference))
        return committed

    async def load_checkout(self, paid: Attempt) -> Checkout:
        found: Checkout = self.run(load_checkouts, TenantScopedId(paid.checkout_id, paid.merchant_id))
        return found

    def run(self, action: Callable[..., Any], request: object) -> Any:  # noqa: ANN401 - any action's outcome
        with self.database.write() as transaction:
            return action(transaction, [request])[0]

    @rule(key=st.sampled_from(["k1", "k2", "k3"]), amount=AMOUNTS, method=st.sampled_from(["automatic", "manual"]))
    def create(self, key: str, amount: int, method: str) -> None:
        self.make(key, amount, method)

    def make(self, key: str, amount: int, method: str) -> None:
        command = NewCheckout(
            id=ids.new_id(ids.CHECKOUT),
            merchant_id="m",
            idempotency_key=key,
            amount=amount,
            currency="USD",
            capture_method=method,
        )
        outcome = self.run(create_checkouts, command)
        if key not in self.checkouts:
            assert isinstance(outcome, Created)
            self.checkouts[key] = (command.id, amount)
        elif isinstance(outcome, Replayed):
            assert (outcome.checkout.id, outcome.checkout.amount) == self.checkouts[key]
        else:
            assert isinstance(outcome, IdempotencyKeyReused)

    def start(self, action: Callable[..., Any], request: Any) -> None:  # noqa: ANN401 - one of four
        outcome = self.run(action, request)
        if isinstance(outcome, Started) and request.lease_ms:
            self.held.append(outcome.attempt)

    @precondition(lambda self: self.checkouts)
    @rule(which=WHICH, leased=st.booleans())
    def pay(self, which: int, leased: bool) -> None:  # noqa: FBT001 - Hypothesis gives it by name
        self.pay_for(which, leased=leased)

    def pay_for(self, which: int, *, leased: bool) -> None:
        command = StartPayment(
            attempt_id=ids.new_id(ids.ATTEMPT),
            checkout=TenantScopedId(self.one(which), None),
            payment_method="tok_success",
            route=ProviderRoute("simulator"),
            lease_ms=LEASE_MS * leased,
        )
        self.start(start_payments, command)

    @precondition(lambda self: self.checkouts)
    @rule(
        which=WHICH,
        amount=st.sampled_from([None, 300, 700]),
        key=KEYS,
        kind=st.sampled_from(["capture", "refund", "cancel"]),
    )
    def change(self, which: int, amount: int | None, key: str, kind: str) -> None:
        attempt_id, checkout_id = ids.new_id(ids.ATTEMPT), self.one(which)
        told: dict[str, Any] = {
            "attempt_id": attempt_id,
            "checkout": TenantScopedId(checkout_id, None),
            "lease_ms": LEASE_MS,
        }
        commands: dict[str, tuple[Callable[..., Any], Any]] = {
            "cancel": (start_cancels, StartCancel(**told)),
            "capture": (start_captures, StartCapture(amount=amount, **told)),
            "refund": (start_refunds, StartRefund(amount=amount, **told)),
        }
        action, keyed = with_idempotency(
            idempotency_for("m", f"{kind} {key}", f"{checkout_id} {amount}"), *commands[kind]
        )
        outcome = self.run(action, keyed)
        name = (kind, key)
        if isinstance(outcome, IdempotencyKeyReused | AlreadyProcessed):
            assert (self.keys[name] == (checkout_id, amount)) == isinstance(outcome, AlreadyProcessed)
        elif not isinstance(outcome, Exception):
            assert name not in self.keys, "one key took effect twice"
            self.keys[name] = (checkout_id, amount)
        if isinstance(outcome, Started):
            self.held.append(outcome.attempt)

    @rule()
    def claim(self) -> None:
        self.held += self.run(claim_attempts, ClaimAttempts("simulator", 2, LEASE_MS))

    @rule()
    def take_over(self) -> None:
        """The worker that holds an attempt stalls until another one has it."""
        self.clock.now += LEASE_MS + 1000
        self.held += self.run(claim_attempts, ClaimAttempts("simulator", 5, LEASE_MS))

    @precondition(lambda self: self.held)
    @rule(which=WHICH, going=st.sampled_from(FakeOutcome))
    def pay_on(self, which: int, going: FakeOutcome) -> None:
        """Call and record immediately, which is the usual case."""
        self.ask(which, going)
        answer = self.answers.pop()
        self.record(answer.attempt.id, answer.evidence, answer.cause, answer.attempt.fence)

    @precondition(lambda self: self.held)
    @rule(which=WHICH, going=st.sampled_from(FakeOutcome))
    def stall_after_asking(self, which: int, going: FakeOutcome) -> None:
        self.ask(which, going)

    def ask(self, which: int, going: FakeOutcome) -> None:
        self.going = going
        mine = self.held.pop(which % len(self.held))
        self.answers.append(self.loop.run_until_complete(self.caller.call(mine)))

    @precondition(lambda self: self.held)
    @rule(which=WHICH)
    def die(self, which: int) -> None:
        self.held.pop(which % len(self.held))

    @precondition(lambda self: self.answers)
    @rule(which=WHICH, again=st.booleans())
    def answer(self, which: int, again: bool) -> None:  # noqa: FBT001 - as above
        answer = self.answers.pop(which % len(self.answers))
        for _ in range(1 + again):
            self.record(answer.attempt.id, answer.evidence, answer.cause, answer.attempt.fence)

    def record(self, attempt_id: str, evidence: Evidence, cause: Cause, fence: int | None = None) -> None:
        command = RecordEvidence(
            attempt_id=attempt_id, evidence=evidence, cause=cause, schedule=LookupSchedule(), chance=0.5, fence=fence
        )
        stored = self.run(lambda transaction, names: [read_attempts(transaction, names)[attempt_id]], attempt_id)
        settled = self.run(record_evidence, command)
        if fence is not None and stored.fence != fence:
            assert settled.transition is None, "a stale worker changed a row"

    @precondition(lambda self: self.provider.charges)
    @rule(which=WHICH, cause=st.sampled_from([Cause.WEBHOOK, Cause.OPERATOR]))
    def tell(self, which: int, cause: Cause) -> None:
        keys = [*(one.key for one in self.provider.charges), *(one.key for one in self.provider.changes)]
        key = keys[which % len(keys)]
        evidence = self.provider.evidence(key)
        if not isinstance(evidence, NotFound):
            self.record(key, evidence, cause)

    @precondition(lambda self: self.provider.declined())
    @rule(which=WHICH)
    def succeed_late(self, which: int) -> None:
        """The provider confirms what it had declined, after we have recorded the decline."""
        declined = self.provider.declined()
        key = declined[which % len(declined)]
        row = next(one for one in self.snapshot().attempts if one.id == key)
        if row.status == "DECLINED":
            self.record(key, self.provider.confirm_late(key, capture=row.kind == "CHARGE"), Cause.WEBHOOK)

    @rule(seconds=st.sampled_from([1, 6, 20, 90_000]))
    def let_time_pass(self, seconds: int) -> None:
        self.clock.now += seconds * 1000
        self.run(expire_checkouts, 10)
        self.run(void_expired, VoidExpired(10, ids.new_id))

    def one(self, which: int) -> str:
        known = [checkout_id for checkout_id, _ in self.checkouts.values()]
        return known[which % len(known)]

    def snapshot(self) -> Snapshot:
        with self.database.writes.connect() as connection:
            rows = read_rows(connection)
        return rows._replace(charges=self.provider.charges, changes=self.provider.changes)

    @invariant()
    def all_that_must_hold_holds(self) -> None:
        if hasattr(self, "provider"):
            assert find_violations(self.snapshot(), ended=False) == []

    def teardown(self) -> None:
        """Stop all faults; then everything must end."""
        if not hasattr(self, "provider"):
            return
        self.going = FakeOutcome.WELL
        self.held.clear()
        for _ in range(60):
            self.clock.now += 86_400_000
            for mine in self.run(claim_attempts, ClaimAttempts("simulator", 50, LEASE_MS)):
                called = self.loop.run_until_complete(self.caller.call(mine))
                self.record(mine.id, called.evidence, called.cause, mine.fence)
            if not any(row.due_at is not None for row in self.snapshot().attempts):
                break
        assert find_violations(self.snapshot(), ended=True) == []
