"""Checks of the proof that take a few transactions; each returns the violations."""

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, Final
from unittest.mock import patch

from sqlalchemy.exc import IntegrityError

from paidonce import ids
from paidonce.checkouts import store as checkouts_store
from paidonce.checkouts.actions import CancelCheckout, cancel_checkouts, create_checkouts, load_checkouts
from paidonce.checkouts.model import Checkout, NewCheckout, ProviderRoute
from paidonce.database.engine import Database, open_database
from paidonce.database.migrate import migrate
from paidonce.database_url import parse_database_url
from paidonce.events.model import Cause
from paidonce.events.store import write_events
from paidonce.merchants.model import TenantScopedId
from paidonce.payments import store
from paidonce.payments.claiming import ClaimAttempts, claim_attempts
from paidonce.payments.model import AttemptKind, new_attempt
from paidonce.payments.pay import Started, StartPayment, start_payments
from paidonce.payments.schedule import LookupSchedule
from paidonce.payments.settle import RecordEvidence, record_evidence
from paidonce.providers.evidence import Succeeded, Unknown
from tests.proof.power_cuts import cut_the_power

LEASE_MS: Final = 1000


def stale_worker(url: str) -> list[str]:
    """A worker that stalled beyond its lease records a response when another worker holds the attempt."""
    with _opened(url) as (database, clock):
        checkout_id, attempt_id = _paid(database)
        clock.now += 2 * LEASE_MS
        claimed = _run(database, claim_attempts, ClaimAttempts("simulator", 5, LEASE_MS))
        before = _attempt(database, attempt_id)
        settled = [
            _record(database, attempt_id, evidence, fence=1) for evidence in (Unknown("late"), Succeeded("late"))
        ]
        after = _attempt(database, attempt_id)
        if (
            [one.fence for one in claimed if one.id == attempt_id] != [2]
            or before != after
            or any(one.transition for one in settled)
        ):
            return [f"8. a stale worker changed {before} to {after} of {checkout_id}"]
    return []


def constraints(url: str) -> list[str]:
    """A second attempt for a checkout is inserted without the rules in Python."""
    with _opened(url) as (database, _):
        checkout_id, _ = _paid(database)
        try:
            with database.write() as transaction:
                checkout = load_checkouts(transaction, [TenantScopedId(checkout_id, None)])[0]
                assert isinstance(checkout, Checkout)
                second = new_attempt(
                    ids.new_id(ids.ATTEMPT),
                    checkout,
                    AttemptKind.CHARGE,
                    now=1,
                    lease_ms=0,
                    amount=1000,
                    route=ProviderRoute("simulator"),
                    payment_method="tok",
                )
                store.insert_attempts(transaction, [second])
        except IntegrityError:
            return []
    return [f"6. {checkout_id} has two attempts under way"]


def races(url: str) -> list[str]:
    """Another process commits between our read and our write: for databases with several writers."""
    with _opened(url) as (database, clock):
        return [*_cancel_against_pay(database), *_pay_against_pay(database), *_claim_against_answer(database, clock)]


def _cancel_against_pay(database: Database) -> Iterator[str]:
    checkout_id = _created(database)
    cancel = CancelCheckout(TenantScopedId(checkout_id, None))
    with _meanwhile(checkouts_store, "apply_transitions", lambda: _run(database, cancel_checkouts, cancel)):
        _start(database, checkout_id)
    checkout = _run(database, load_checkouts, TenantScopedId(checkout_id, None))
    if (checkout.status, checkout.attempt) != ("CANCELED", None):
        yield f"15. {checkout_id} was canceled and is {checkout.status}"


def _pay_against_pay(database: Database) -> Iterator[str]:
    checkout_id = _created(database)
    outcomes: list[Any] = []
    with _meanwhile(checkouts_store, "apply_transitions", lambda: outcomes.append(_start(database, checkout_id))):
        outcomes.append(_start(database, checkout_id))
    if sum(isinstance(one, Started) for one in outcomes) != 1:
        yield f"6. {checkout_id} is paid twice at a time: {[type(one).__name__ for one in outcomes]}"


def _claim_against_answer(database: Database, clock: "_Clock") -> Iterator[str]:
    _, attempt_id = _paid(database)

    def take_over() -> None:
        clock.now += 2 * LEASE_MS
        _run(database, claim_attempts, ClaimAttempts("simulator", 5, LEASE_MS))

    with _meanwhile(store, "apply_transitions", take_over):
        settled = _record(database, attempt_id, Unknown("late"), fence=1)
    status = _attempt(database, attempt_id)
    if settled.transition is not None or (status.status, status.fence) != ("SENT", 2):
        yield f"8. {attempt_id} was taken over, and the one before wrote {status.status}"


def power_loss(folder: str, seed: int) -> list[str]:
    """Cut the power a hundred times."""
    tally = cut_the_power(Path(folder), Random(seed), cuts=100)
    return [f"2. {tally.lost} lost, {tally.damaged} damaged of {tally.cuts}"] if tally.lost or tally.damaged else []


class _Clock:
    now = 1_700_000_000_000

    def __call__(self) -> int:
        return self.now


@contextmanager
def _opened(url: str) -> Iterator[tuple[Database, _Clock]]:
    os.dup2(2, 1)
    clock = _Clock()
    database = open_database(parse_database_url(url), clock=clock, before_commit=write_events)
    migrate(database)
    try:
        yield database, clock
    finally:
        database.close()


@contextmanager
def _meanwhile(module: Any, name: str, happen: Callable[[], object]) -> Iterator[None]:  # noqa: ANN401 - a module
    """Run something once, just before ``name`` is called for the first time."""
    real = getattr(module, name)
    happened: list[bool] = []

    def late(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - as it is
        if not happened:
            happened.append(True)
            happen()
        return real(*arguments, **named)

    with patch.object(module, name, late):
        yield


def _run(database: Database, action: Callable[..., Any], request: object) -> Any:  # noqa: ANN401 - any action's outcome
    with database.write() as transaction:
        return action(transaction, [request])[0]


def _created(database: Database) -> str:
    command = NewCheckout(
        id=ids.new_id(ids.CHECKOUT), merchant_id="m", idempotency_key=secrets.token_hex(8), amount=1000, currency="USD"
    )
    _run(database, create_checkouts, command)
    return command.id


def _start(database: Database, checkout_id: str) -> Any:  # noqa: ANN401 - an outcome
    command = StartPayment(
        attempt_id=ids.new_id(ids.ATTEMPT),
        checkout=TenantScopedId(checkout_id, None),
        payment_method="tok_success",
        route=ProviderRoute("simulator"),
        lease_ms=LEASE_MS,
    )
    try:
        return _run(database, start_payments, command)
    except IntegrityError as error:
        return error


def _paid(database: Database) -> tuple[str, str]:
    checkout_id = _created(database)
    started = _start(database, checkout_id)
    return checkout_id, started.attempt.id


def _record(database: Database, attempt_id: str, evidence: Any, *, fence: int) -> Any:  # noqa: ANN401 - evidence, outcome
    command = RecordEvidence(
        attempt_id=attempt_id,
        evidence=evidence,
        cause=Cause.PROVIDER_ANSWER,
        schedule=LookupSchedule(),
        chance=0.5,
        fence=fence,
    )
    return _run(database, record_evidence, command)


def _attempt(database: Database, attempt_id: str) -> Any:  # noqa: ANN401 - an attempt
    with database.read() as transaction:
        return store.read_attempts(transaction, [attempt_id])[attempt_id]
