"""Whose data a request is about, as far as that decides on which node of a distributed database it is stored."""

from paidonce.checkouts.model import NewCheckout
from paidonce.database.nodes import merchants_in
from paidonce.merchants.model import Tenant, TenantScopedId
from paidonce.payments.claiming import ClaimAttempts
from paidonce.payments.store import Held
from paidonce.statistics.actions import CountLogs

NEW = NewCheckout(id="c", merchant_id="a", idempotency_key="k", amount=1, currency="EUR")


def test_a_request_is_about_every_merchant_that_it_names_however_deep() -> None:
    assert merchants_in(NEW) == {"a"}
    assert merchants_in(TenantScopedId("c", "a")) == {"a"}
    assert merchants_in([Held("1", "a", 1), Held("2", "b", 1)]) == {"a", "b"}
    assert merchants_in(CountLogs([Tenant("a", "test"), Tenant("b", "live")], 10)) == {"a", "b"}
    assert merchants_in({TenantScopedId("c", "a"): None}) == {"a"}


def test_a_request_that_names_no_merchant_may_be_about_any() -> None:
    assert merchants_in(TenantScopedId("c", None)) == frozenset()
    assert merchants_in(ClaimAttempts("simulator", 10, 1000)) == frozenset()
    assert merchants_in(None) == frozenset()
