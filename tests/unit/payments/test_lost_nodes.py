"""Reads of attempts while a node of a distributed database does not respond."""

import pytest

from paidonce.checkouts.store import read_by_id
from paidonce.errors import DatabaseUnavailable
from paidonce.merchants.model import TenantScopedId
from paidonce.payments.store import read_attempts
from tests.support.partial_transaction import PartialTransaction
from tests.support.payments import Payments


def test_an_attempt_that_may_be_on_a_lost_node_is_not_said_to_be_missing(payments: Payments) -> None:
    payments.pay(payments.create())
    with payments.database.read() as transaction:
        partial = PartialTransaction(transaction.connection, transaction.now)
        assert read_attempts(partial, ["att_1", "att_1"]).keys() == {"att_1"}
        with pytest.raises(DatabaseUnavailable):
            read_attempts(partial, ["att_1", "att_2"])
        assert read_attempts(transaction, ["att_1", "att_2"]).keys() == {"att_1"}


def test_a_checkout_that_may_be_on_a_lost_node_is_not_said_to_be_missing_unless_its_merchant_is_named(
    payments: Payments,
) -> None:
    known = TenantScopedId(payments.create().id, None)
    unknown, of_merchant = TenantScopedId("chk_0", None), TenantScopedId("chk_0", "m1")
    with payments.database.read() as transaction:
        partial = PartialTransaction(transaction.connection, transaction.now)
        with pytest.raises(DatabaseUnavailable):
            read_by_id(partial, [known, unknown])
        assert read_by_id(partial, [known, of_merchant]).keys() == {known}
        assert read_by_id(transaction, [known, unknown]).keys() == {known}
