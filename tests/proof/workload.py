"""A random workload like that of the service: batches of creates, payments, responses, refunds, captures and
cancels.
"""

from itertools import count
from random import Random
from typing import Any, Final

from paidonce import ids
from paidonce.checkouts.actions import create_checkouts
from paidonce.checkouts.model import NewCheckout, ProviderRoute
from paidonce.clock import Instant
from paidonce.database.engine import Database
from paidonce.events.model import Cause
from paidonce.merchants.model import TenantScopedId
from paidonce.payments.capture import StartCancel, StartCapture, start_cancels, start_captures
from paidonce.payments.claiming import ClaimAttempts, claim_attempts
from paidonce.payments.pay import Started, StartPayment, start_payments
from paidonce.payments.refund import StartRefund, start_refunds
from paidonce.payments.schedule import LookupSchedule
from paidonce.payments.settle import RecordEvidence, record_evidence
from paidonce.providers.evidence import Authorized, Declined, Evidence, Succeeded, Unknown

LEASE_MS: Final = 1000
_time: Final = count(1_700_000_000_000, 100)


class Workload:
    """Each ``step`` is one transaction: a batch of one kind of request over existing checkouts."""

    def __init__(self, database: Database, chance: Random) -> None:
        self._database = database
        self._chance = chance
        self._checkouts: list[str] = []
        self._attempts: list[tuple[str, str]] = []

    @staticmethod
    def clock() -> Instant:
        """Return an instant a tenth of a second after the one before."""
        return next(_time)

    def step(self) -> None:
        """Run one transaction."""
        steps = [self._create, self._pay, self._answer, self._change, self._claim]
        step = self._chance.choices(steps, weights=[3, 3, 4, 3, 1])[0] if self._checkouts else self._create
        step()

    def _run(self, action: Any, requests: list[Any]) -> list[Any]:  # noqa: ANN401 - any action
        with self._database.write() as transaction:
            return list(action(transaction, requests))

    def _some(self) -> list[str]:
        newest = self._checkouts[-8:]
        return self._chance.sample(newest, min(len(newest), self._chance.randint(1, 3)))

    def _create(self) -> None:
        requests = [
            NewCheckout(
                id=ids.new_id(ids.CHECKOUT),
                merchant_id=f"merchant-{self._chance.randint(1, 2)}",
                idempotency_key=str(self._chance.randint(1, 10**9)),
                amount=1000,
                currency="USD",
                capture_method=self._chance.choice(["automatic", "manual"]),
                description="x" * self._chance.choice([0, 10, 3000]),
            )
            for _ in range(self._chance.randint(1, 4))
        ]
        self._run(create_checkouts, requests)
        self._checkouts += [one.id for one in requests]

    def _pay(self) -> None:
        self._start(
            start_payments,
            [
                StartPayment(
                    attempt_id=ids.new_id(ids.ATTEMPT),
                    checkout=TenantScopedId(one, None),
                    payment_method="tok_success",
                    route=ProviderRoute("simulator"),
                    lease_ms=LEASE_MS,
                )
                for one in self._some()
            ],
        )

    def _change(self) -> None:
        attempt_id, some = ids.new_id(ids.ATTEMPT), self._some()[0]
        kind = self._chance.randrange(3)
        if kind == 0:
            self._start(
                start_refunds, [StartRefund(attempt_id=attempt_id, checkout=TenantScopedId(some, None), amount=100)]
            )
        elif kind == 1:
            self._start(
                start_captures, [StartCapture(attempt_id=attempt_id, checkout=TenantScopedId(some, None), amount=700)]
            )
        else:
            self._start(start_cancels, [StartCancel(attempt_id=attempt_id, checkout=TenantScopedId(some, None))])

    def _start(self, action: Any, requests: list[Any]) -> None:  # noqa: ANN401 - any action
        for outcome in self._run(action, requests):
            if isinstance(outcome, Started):
                self._attempts.append((outcome.attempt.id, outcome.attempt.kind))

    def _claim(self) -> None:
        self._run(claim_attempts, [ClaimAttempts("simulator", 4, LEASE_MS)])

    def _answer(self) -> None:
        count_ = min(len(self._attempts), self._chance.randint(1, 4))
        ends = [self._attempts.pop(self._chance.randrange(len(self._attempts))) for _ in range(count_)]
        requests = [
            RecordEvidence(
                attempt_id=attempt_id,
                evidence=self._evidence(kind),
                cause=Cause.PROVIDER_ANSWER,
                schedule=LookupSchedule(),
                chance=0.5,
            )
            for attempt_id, kind in ends
        ]
        self._run(record_evidence, requests)

    def _evidence(self, kind: str) -> Evidence:
        proof: Evidence = Authorized("a1") if kind == "AUTHORIZE" else Succeeded("c1")
        return self._chance.choices([proof, Declined("do_not_honor"), Unknown("a 500")], weights=[6, 2, 1])[0]
