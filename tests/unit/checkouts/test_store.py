"""The SQL statements for checkouts, on both databases: which rows they read and change, and how many."""

from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from paidonce.checkouts import list_store, store
from paidonce.checkouts.actions import create_checkouts, expire_checkouts, load_checkouts
from paidonce.checkouts.list_store import CheckoutFilter
from paidonce.checkouts.model import CheckoutStatus, CheckoutTransition, NewCheckout
from paidonce.checkouts.store import CheckoutKey
from paidonce.database.schema import checkout
from paidonce.database.transaction import Transaction
from paidonce.errors import CheckoutNotFound
from paidonce.events.model import Cause
from paidonce.merchants.model import TenantFilter, TenantScopedId
from paidonce.providers.evidence import Authorized
from tests.support.databases import without_indexes
from tests.support.payments import NOW, Payments


class CountingTransaction(Transaction):
    """A transaction that counts the rows that it reads."""

    rows_read = 0

    def rows(self, statement: Any, parameters: Any = None) -> Any:  # noqa: ANN401 - as Transaction's
        found = super().rows(statement, parameters)
        self.rows_read += len(found)
        return found


def test_of_the_checkouts_of_a_merchant_only_those_with_the_wanted_keys_are_read(payments: Payments) -> None:
    for name in ("1", "2", "3"):
        payments.create(name)
    with payments.database.read() as transaction:
        found = store.read_by_key(transaction, [CheckoutKey("m", "test", one) for one in ("1", "3", "missing")])
    assert {key.idempotency_key: one.id for key, one in found.items()} == {"1": "chk_1", "3": "chk_3"}


@pytest.mark.parametrize("filters", [{}, {"ending_before": "chk_0"}, {"status": CheckoutStatus.PENDING}])
def test_a_page_reads_one_row_more_than_it_shows_however_many_there_are(
    payments: Payments, filters: dict[str, Any]
) -> None:
    for number in range(1, 6):
        payments.create(str(number))
    with payments.database.read() as transaction:
        counting = CountingTransaction(transaction.connection, transaction.now)
        page = list_store.read_range(counting, CheckoutFilter(limit=2, **filters)).found
    assert (len(page), counting.rows_read) == (3, 3)


@pytest.mark.parametrize("filters", [{}, {"mode": "test"}])
def test_of_two_merchants_checkouts_with_one_id_each_list_has_its_own(
    payments: Payments, filters: dict[str, str]
) -> None:
    for merchant_id in ("m", "n"):
        payments.create("1", merchant_id=merchant_id)
    for merchant_id in ("m", "n"):
        page, _ = payments.listing(CheckoutFilter(limit=10, tenant=TenantFilter(merchant_id, **filters)))
        assert [(one.id, one.merchant_id) for one in page] == [("chk_1", merchant_id)]


def test_a_refund_changes_the_sums_of_no_other_merchant_s_checkout_with_the_same_id(payments: Payments) -> None:
    mine = payments.paid("1", merchant_id="m", attempt_id="att_1", reference="ch_1")
    theirs = payments.paid("1", merchant_id="n", attempt_id="att_2", reference="ch_2")
    payments.refund(mine, amount=300)
    assert (payments.sums(mine), payments.sums(theirs)) == ((1000, 0, 300), (1000, 0, 0))


def test_a_new_checkout_whose_id_is_taken_under_another_key_is_an_error_and_its_batch_has_no_effect(
    payments: Payments,
) -> None:
    payments.create("1")
    fresh, taken = (
        NewCheckout(id=name, merchant_id="m", idempotency_key=f"new {name}", amount=1000, currency="USD")
        for name in ("chk_2", "chk_1")
    )
    with pytest.raises(IntegrityError):
        payments.do(create_checkouts, fresh, taken)
    (created,) = payments.do(load_checkouts, TenantScopedId("chk_2", "m"))
    assert isinstance(created, CheckoutNotFound)


def test_the_longest_over_expire_first_whatever_index_there_is(payments: Payments) -> None:
    for number in range(5):
        payments.create(str(number), expires_in_seconds=600 - number)
    payments.now += 600_000
    with without_indexes(payments.database, checkout) as transaction:
        (expired,) = expire_checkouts(transaction, [2])
    assert sorted(expired) == ["chk_3", "chk_4"]


def test_a_transition_has_no_effect_where_another_attempt_has_begun_since_its_checkout_was_read(
    payments: Payments,
) -> None:
    checkout_id = payments.create()
    payments.pay(checkout_id, "att_1")
    completed, late = (
        CheckoutTransition(
            checkout_id=checkout_id.id,
            merchant_id="m",
            mode="test",
            source=CheckoutStatus.PROCESSING,
            target=CheckoutStatus.COMPLETED,
            seen_attempt_id=seen,
            attempt_id=seen,
            captured=1000,
            cause=Cause.PROVIDER_ANSWER,
        )
        for seen in ("att_1", "att_0")
    )
    with payments.database.write() as transaction:
        assert store.apply_transitions(transaction, [late]) == set()
        assert transaction.events == []
    assert payments.status(checkout_id) == "PROCESSING"
    with payments.database.write() as transaction:
        assert store.apply_transitions(transaction, [completed]) == {checkout_id.id}
        assert [event.attempt_id for event in transaction.events] == ["att_1"]
    assert payments.status(checkout_id) == "COMPLETED"


def test_an_authorization_that_lapses_early_limits_its_own_checkout_and_no_other_of_the_merchant(
    payments: Payments,
) -> None:
    mine, other = (payments.paid(name, attempt_id=f"att_{name}", reference=name, manual=True) for name in ("1", "2"))
    expires_at = payments.checkout(other).expires_at
    payments.prove("att_1", Authorized("1", capture_before=NOW + 5000))
    assert [payments.checkout(one).expires_at for one in (mine, other)] == [NOW + 5000, expires_at]
