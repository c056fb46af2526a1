"""Frequent queries use an index, however many checkouts there are."""

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Final
from unittest.mock import patch

import msgspec
import pytest
from msgspec.structs import replace
from sqlalchemy import Connection, event

from paidonce import ids
from paidonce.checkouts.actions import (
    create_checkouts,
    examine_checkouts,
    expire_checkouts,
    load_checkouts,
    load_timelines,
)
from paidonce.checkouts.list_store import CheckoutFilter
from paidonce.checkouts.model import Checkout, CheckoutStatus, NewCheckout, ProviderRoute
from paidonce.clock import system_clock
from paidonce.database import statement
from paidonce.database.engine import Database, open_database
from paidonce.database.migrate import migrate
from paidonce.database.statement import execute_on_driver
from paidonce.database.transaction import Transaction
from paidonce.database_url import parse_database_url
from paidonce.doctor.waiting import measure_waiting
from paidonce.events.actions import load_log_bounds
from paidonce.events.model import Cause
from paidonce.events.store import lock_starts
from paidonce.idempotency.actions import delete_expired_keys
from paidonce.merchants.model import Mode, Tenant, TenantFilter, TenantScopedId
from paidonce.payments.capture import VoidExpired, void_expired
from paidonce.payments.claiming import ClaimAttempts, claim_attempts, release_all_attempts
from paidonce.payments.disputes import load_disputes_of_checkouts
from paidonce.payments.external_changes import RecordChange, record_changes
from paidonce.payments.external_store import read_by_reference
from paidonce.payments.history import load_histories
from paidonce.payments.model import AttemptStatus
from paidonce.payments.pay import StartPayment, start_payments
from paidonce.payments.review import ListAttempts, list_attempts
from paidonce.payments.schedule import LookupSchedule
from paidonce.payments.settle import RecordEvidence, record_evidence
from paidonce.payments.store import read_attempts
from paidonce.payments.unproven_outcomes import measure_unproven
from paidonce.profiles.actions import load_logos, load_profiles
from paidonce.provider_accounts.actions import ChooseAccount, choose_accounts, load_accounts
from paidonce.provider_accounts.model import AccountName
from paidonce.provider_webhooks.model import ProviderWebhook, WebhookResult
from paidonce.provider_webhooks.replay import ListGivenUp, list_given_up
from paidonce.provider_webhooks.store import (
    DuePosition,
    WebhookName,
    find_applied,
    find_due,
    read_given_up,
    read_newest,
)
from paidonce.providers.evidence import Dispute, ExternalChange, ExternalRefund, Succeeded
from paidonce.retention.actions import FindOldLogs, PlanDeletion, delete_old, find_old_logs, plan_deletions
from paidonce.retention.model import RetentionPeriods
from paidonce.retention.store import delete_deliveries
from paidonce.search.actions import load_named, order_terms, take_steps
from paidonce.search.model import Search, TermRow
from paidonce.search.store import Step, insert_terms, read_terms
from paidonce.statistics.actions import CountLogs, FindUncounted, count_logs, find_uncounted, store_counts
from paidonce.webhook_endpoints.delivery_store import release_all as release_deliveries
from paidonce.webhook_endpoints.due_delivery_store import find_waiting
from paidonce.webhook_endpoints.event_deliveries import EventNames, load_deliveries_of_events
from paidonce.webhook_endpoints.maintenance import do_upkeep, find_upkeep
from paidonce.webhook_endpoints.outbox import write_events_and_deliveries
from tests.support.plans import plans_of

STATEMENTS: Final = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")
LARGE: Final = (
    "merchant_profile",
    "event_log",
    "checkout",
    "attempt",
    "dispute",
    "event",
    "delivery",
    "delivery_try",
    "redelivery",
    "idempotency_key",
    "provider_account",
    "provider_webhook",
    "search_term",
    "merchant",
    "hourly_statistics",
    "statistics_cursor",
)


def sell(transaction: Transaction) -> None:
    """Run a purchase from creation to settlement, and read it."""
    checkout = TenantScopedId("chk_1", "m")
    create_checkouts(
        transaction,
        [NewCheckout(id=checkout.id, merchant_id="m", idempotency_key="1", amount=1000, currency="USD")] * 2,
    )
    choose_accounts(
        transaction,
        [
            ChooseAccount(merchant_id="m", mode=Mode.TEST),
            ChooseAccount(merchant_id="m", mode=Mode.TEST, provider="stripe"),
            ChooseAccount(merchant_id="m", mode=Mode.TEST, account_ids=("pac_1", "pac_2")),
        ],
    )
    load_accounts(transaction, [AccountName("pac_1", "m")])
    load_profiles(transaction, [Tenant("m", "test")])
    load_logos(transaction, ["0" * 32])
    start_payments(
        transaction,
        [StartPayment(attempt_id="att_1", checkout=checkout, payment_method="tok", route=ProviderRoute("simulator"))],
    )
    [[attempt]] = claim_attempts(transaction, [ClaimAttempts("simulator", 8, 30_000)])
    [settled] = record_evidence(
        transaction,
        [
            RecordEvidence(
                attempt_id=attempt.id,
                evidence=Succeeded("ch_1"),
                cause=Cause.PROVIDER_ANSWER,
                schedule=LookupSchedule(),
                chance=0.5,
                fence=attempt.fence,
            )
        ],
    )
    assert settled.transition is not None
    write_events_and_deliveries(transaction)
    [shown] = load_checkouts(transaction, [checkout])
    assert isinstance(shown, Checkout)
    assert shown.status == CheckoutStatus.COMPLETED
    load_timelines(transaction, [checkout])


def look_after(transaction: Transaction) -> None:
    """Run what a process does at its start and at every poll."""
    release_all_attempts(transaction, [None])
    release_deliveries(transaction)
    claim_attempts(transaction, [ClaimAttempts("simulator", 8, 30_000)])
    expire_checkouts(transaction, [500])
    void_expired(transaction, [VoidExpired(500, ids.new_id)])
    delete_expired_keys(transaction, [500])
    find_waiting(transaction, 100)
    do_upkeep(transaction, find_upkeep(transaction, [None]))
    find_due(transaction, 100, None)
    find_due(transaction, 100, DuePosition(1, WebhookName("simulator", "msg_1")))
    find_applied(transaction, before=0, limit=100)
    measure_unproven(transaction, [None])


def count_statistics(transaction: Transaction) -> None:
    """Find out that there is something to count, and count it: what succeeded, was refunded and is disputed."""
    hear_of_changes(transaction)
    write_events_and_deliveries(transaction)
    (page,) = find_uncounted(transaction, [FindUncounted("", 500)])
    (counts,) = count_logs(transaction, [CountLogs(page.tenants, 200)])
    assert len(counts) == 1
    assert store_counts(transaction, counts) == [True]


def hear_of_changes(transaction: Transaction) -> None:
    """Record what was done at the provider to a charge that only its reference names, and read it."""
    sell(transaction)
    [charge] = read_attempts(transaction, ["att_1"]).values()
    read_by_reference(transaction, "stripe", "pac_1", "pi_1")
    changes: list[ExternalChange] = [
        ExternalRefund("re_1", "succeeded", 400, "USD"),
        Dispute("dp_1", "opened", 600, "USD"),
        Dispute("dp_1", "lost", 600, "USD"),
    ]
    for change in changes:
        record_changes(
            transaction,
            [RecordChange(charge=charge, change=change, schedule=LookupSchedule(), chance=0.5, new_id=ids.new_id)],
        )
    load_disputes_of_checkouts(transaction, [TenantScopedId("chk_1", "m")])


def search(transaction: Transaction) -> None:
    """Search by all that a search can ask for, and write the terms of a new checkout."""
    read_terms(transaction, {"chk_1": "m", "chk_2": "m"})
    insert_terms(transaction, [TermRow("m", "test", "blue", "chk_1")])
    wanted = Search(tenant=Tenant("m", "test"), limit=10, text="blue shirt")
    load_named(transaction, [wanted])
    order_terms(transaction, [wanted])
    filters: list[dict[str, Any]] = [
        {},
        {"status": "COMPLETED"},
        {"amount": 77, "currency": "EUR"},
        {"provider": "stripe"},
        {"reference": "ch_1"},
        {"created_after": 1_700_000_000_000, "created_before": 1_800_000_000_000},
    ]
    for one in filters:
        narrower = Search(tenant=wanted.tenant, limit=10, **one)
        for terms in ((), ("blue",), ("blue", "shirt")):
            take_steps(transaction, [Step(narrower, None, 1, terms), Step(narrower, "chk_9", 1000, terms)])


def show_what_waits_for_a_person(transaction: Transaction) -> None:
    """Read the pages about what needs review, for a merchant and for the operator, and what doctor counts."""
    for tenant in (TenantFilter(), TenantFilter("m", "test")):
        for status in (AttemptStatus.NEEDS_REVIEW, AttemptStatus.UNKNOWN, AttemptStatus.ACCEPTED):
            list_attempts(transaction, [ListAttempts(status=status, limit=10, tenant=tenant, created_before=1)])
    list_given_up(transaction, [ListGivenUp(10)])
    after = ProviderWebhook("simulator", "msg_1", None, None, None, "", 1, 1, None, None, None)
    read_given_up(transaction, WebhookResult.FAILED, limit=10, after=after)
    read_newest(transaction, limit=50, applied_too=True)
    measure_waiting(transaction, [None])


def delete_old_rows(transaction: Transaction) -> None:
    """Find old events, and delete them with their deliveries and tries; tell where the log begins."""
    count_statistics(transaction)
    now = transaction.now + 2
    transaction.now = now
    tenant, periods = Tenant("m", "test"), RetentionPeriods(event_ms=1, delivery_ms=1)
    (found,) = find_old_logs(transaction, [FindOldLogs("", 100, periods)])
    assert found.tenants == [tenant]
    (planned,) = plan_deletions(transaction, [PlanDeletion(tenant, periods)])
    assert planned is not None
    assert delete_old(transaction, [planned]) == [True]
    with suppress(AssertionError):  # There is no such delivery.
        delete_deliveries(transaction, msgspec.structs.replace(planned, delivery_ids=["dlv_1"]))
    assert load_log_bounds(transaction, [tenant])[0].first > 1
    lock_starts(transaction, "m")


def look_at_a_payment(transaction: Transaction) -> None:
    """Read what the page of a payment shows."""
    sell(transaction)
    load_histories(transaction, [TenantScopedId("chk_1", "m", "test")])
    load_deliveries_of_events(transaction, [EventNames(Tenant("m", "test"), ["evt_1", "evt_2"])])


def list_by_status(transaction: Transaction) -> None:
    """Read lists with a status and a time, of a merchant in one mode and in both, and of all merchants."""
    for tenant in (TenantFilter("m", "test"), TenantFilter("m"), TenantFilter()):
        wanted = CheckoutFilter(limit=10, tenant=tenant, status="AUTHORIZED", created_after=1_700_000_000_000)
        examine_checkouts(transaction, [wanted, replace(wanted, ending_before="chk_1")])


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = open_database(parse_database_url(database_url), clock=system_clock)
    migrate(database)
    yield database
    database.close()


def whole_tables_read(connection: Connection, sql: str, values: Any) -> list[str]:  # noqa: ANN401 - as the driver takes them
    """Return the large tables that the database would scan; it prefers that for tables as small as these."""
    if connection.dialect.name == "sqlite":
        plan = [step[3] for step in execute_on_driver(connection, f"EXPLAIN QUERY PLAN {sql}", values).fetchall()]
        return [table for table in LARGE if f"SCAN {table}" in plan]
    lines = "\n".join(line for (line,) in execute_on_driver(connection, f"EXPLAIN {sql}", values).fetchall())
    return [table for table in LARGE if re.search(rf"Seq Scan on {table}\b", lines)]


@pytest.mark.parametrize(
    "work",
    [
        sell,
        look_after,
        hear_of_changes,
        search,
        list_by_status,
        count_statistics,
        delete_old_rows,
        show_what_waits_for_a_person,
    ],
)
def test_nothing_that_is_asked_for_a_purchase_or_at_every_poll_reads_a_whole_table(
    database: Database, work: Callable[[Transaction], None]
) -> None:
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, sql: str, values: Any, *_rest: Any) -> None:  # noqa: ANN401 - SQLAlchemy's
        asked.append((sql, values))

    def run_and_note(connection: Connection, sql: str, values: Any = ()) -> Any:  # noqa: ANN401 - as it is
        asked.append((sql, values))
        return execute_on_driver(connection, sql, values)

    event.listen(database.writes, "before_cursor_execute", note)
    with patch.object(statement, "execute_on_driver", run_and_note), database.write() as transaction:
        work(transaction)
    event.remove(database.writes, "before_cursor_execute", note)
    asked = [(sql, values) for sql, values in asked if sql.startswith(STATEMENTS)]
    assert len(asked) >= 10
    with database.reads.connect() as connection:
        scans = [(sql, table) for sql, values in asked for table in whole_tables_read(connection, sql, values)]
    assert scans == []


def test_an_attempt_is_found_by_the_providers_reference_through_an_index_of_references(database: Database) -> None:
    asked: list[tuple[str, Any]] = []

    def note(connection: Connection, sql: str, values: Any) -> Any:  # noqa: ANN401 - as it is
        asked.append((sql, values))
        return execute_on_driver(connection, sql, values)

    with database.write() as transaction:
        with patch.object(statement, "execute_on_driver", note):
            assert read_by_reference(transaction, "stripe", "pac_1", "pi_1") == []
        ((sql, values),) = asked
        explain = "EXPLAIN QUERY PLAN" if transaction.connection.dialect.name == "sqlite" else "EXPLAIN"
        plan = str(execute_on_driver(transaction.connection, f"{explain} {sql}", values).fetchall())
    assert "attempt_by_provider_reference" in plan
    assert "attempt_by_session_reference" in plan


@pytest.mark.parametrize("ending_before", [None, "chk_1"])
def test_a_list_with_a_status_reads_its_place_in_the_index_of_the_merchant(
    database: Database, ending_before: str | None
) -> None:
    """With the index of what expires, the database would read all that have the status before it sorts them."""
    wanted = CheckoutFilter(
        limit=10, tenant=TenantFilter("m", "test"), status="AUTHORIZED", ending_before=ending_before
    )
    plans = plans_of(database, lambda transaction: examine_checkouts(transaction, [wanted]))
    assert ["checkout_by_merchant" in plan for plan in plans] == [True] * 2
    assert [plan for plan in plans if "checkout_to_expire" in plan] == []


@pytest.mark.parametrize(
    ("terms", "index"), [((), {"checkout_by_merchant"}), (("blue",), {"search_term", "search_term_pkey"})]
)
def test_a_search_reads_its_place_in_the_index_of_the_merchant_or_of_the_term(
    database: Database, terms: tuple[str, ...], index: set[str]
) -> None:
    """The first statement finds where a step ends, and the second what is wanted in it."""
    wanted = Search(tenant=Tenant("m", "test"), limit=10, status="AUTHORIZED", provider="stripe", amount=77)
    plans = plans_of(database, lambda transaction: take_steps(transaction, [Step(wanted, "chk_9", 100, terms)]))
    assert [any(name in plan for name in index) for plan in plans] == [True] * 2
    assert [plan for plan in plans if "checkout_to_expire" in plan] == []
