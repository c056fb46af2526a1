"""Reads of attempts while a node of a distributed database does not respond."""

import pytest

from paidonce.errors import DatabaseUnavailable
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
