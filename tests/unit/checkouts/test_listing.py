"""Lists of checkouts on both databases: which they show, in which order, and how many rows one read examines."""

from typing import Any, Final

import msgspec
import pytest

from paidonce import ids
from paidonce.checkouts.actions import CancelCheckout, cancel_checkouts, create_checkouts, examine_checkouts
from paidonce.checkouts.list_store import CheckoutFilter
from paidonce.merchants.model import TenantFilter, TenantScopedId
from tests.support.payments import NOW, AnyValue, Payments, new_checkout

HOUR_MS: Final = 3_600_000
# The ids of checkouts that are created an hour apart, by number.
IDS: Final = {number: ids.lowest_id(ids.CHECKOUT, NOW + number * HOUR_MS) for number in range(7)}
NUMBERS: Final = {checkout_id: number for number, checkout_id in IDS.items()}


def create(payments: Payments, number: int, merchant_id: str = "m", mode: str = "test") -> TenantScopedId:
    payments.now = NOW + number * HOUR_MS
    return payments.create(IDS[number].removeprefix("chk_"), merchant_id=merchant_id, mode=mode)


def show(payments: Payments, **wanted: AnyValue) -> tuple[str, bool]:
    """Return the numbers of the checkouts of a page, and whether there is a next page."""
    tenant = TenantFilter(wanted.pop("merchant_id", None), wanted.pop("mode", None))
    fields: dict[str, AnyValue] = {"limit": 10, "tenant": tenant} | wanted
    fields |= {name: IDS[fields[name]] for name in ("starting_after", "ending_before") if name in fields}
    fields |= {name: NOW + fields[name] * HOUR_MS for name in ("created_after", "created_before") if name in fields}
    found, has_more = payments.listing(CheckoutFilter(**fields))
    return "".join(str(NUMBERS[one.id]) for one in found), has_more


@pytest.fixture
def listed(payments: Payments) -> Payments:
    """Create five checkouts: 1, 3 and 5 are of merchant m, 2 and 4 of n; 3 is canceled, and 5 is paid."""
    names = [
        create(payments, number, "m" if number % 2 else "n", "live" if number in (1, 2) else "test")
        for number in range(1, 6)
    ]
    payments.do(cancel_checkouts, CancelCheckout(names[2]))
    payments.pay(names[4])
    return payments


@pytest.mark.parametrize("examined_max", [1000, 1, 2])
@pytest.mark.parametrize(
    ("wanted", "found", "has_more"),
    [
        ({}, "54321", False),
        ({"limit": 5}, "54321", False),
        ({"limit": 4}, "5432", True),
        ({"limit": 1}, "5", True),
        ({"merchant_id": "m"}, "531", False),
        ({"merchant_id": "m", "limit": 2}, "53", True),
        ({"merchant_id": "o"}, "", False),
        ({"merchant_id": "m", "mode": "live"}, "1", False),
        ({"merchant_id": "m", "mode": "test"}, "53", False),
        ({"merchant_id": "m", "mode": "test", "limit": 1}, "5", True),
        ({"mode": "live"}, "21", False),
        ({"merchant_id": "m", "limit": 1, "starting_after": 3}, "1", False),
        ({"merchant_id": "m", "limit": 1, "ending_before": 1}, "3", True),
        ({"status": "PENDING"}, "421", False),
        ({"status": "PENDING", "limit": 2}, "42", True),
        ({"status": "PENDING", "limit": 1, "starting_after": 4}, "2", True),
        ({"status": "PENDING", "limit": 1, "ending_before": 1}, "2", True),
        ({"status": "PENDING", "limit": 2, "ending_before": 1}, "42", False),
        ({"status": "CANCELED"}, "3", False),
        ({"status": "EXPIRED"}, "", False),
        ({"merchant_id": "m", "status": "PENDING"}, "1", False),
        ({"merchant_id": "m", "mode": "test", "status": "CANCELED"}, "3", False),
        ({"merchant_id": "n", "status": "CANCELED"}, "", False),
        ({"created_after": 2}, "543", False),
        ({"created_before": 2}, "1", False),
        ({"created_after": 1, "created_before": 4}, "32", False),
        ({"created_after": 1, "created_before": 5, "limit": 2}, "43", True),
        ({"created_after": 1, "merchant_id": "m", "limit": 1, "ending_before": 1}, "3", True),
        ({"starting_after": 4}, "321", False),
        ({"starting_after": 4, "limit": 2}, "32", True),
        ({"ending_before": 2}, "543", False),
        ({"ending_before": 2, "limit": 2}, "43", True),
        ({"ending_before": 2, "limit": 3}, "543", False),
        ({"ending_before": 2, "merchant_id": "m"}, "53", False),
    ],
)
def test_a_page_shows_what_is_asked_for_the_newest_first_and_whether_there_is_more(
    listed: Payments, wanted: dict[str, Any], found: str, examined_max: int, *, has_more: bool
) -> None:
    assert show(listed, examined_max=examined_max, **wanted) == (found, has_more)


def test_a_list_shows_each_checkout_as_it_is_read_by_itself(listed: Payments) -> None:
    page, _ = listed.listing(CheckoutFilter(limit=10))
    names = [TenantScopedId(one.id, one.merchant_id) for one in page]
    assert page == [listed.checkout(name) for name in names]
    assert page[0].attempt is not None
    assert msgspec.to_builtins(page[0])["attempt"]["status"] == "READY"


def test_of_several_lists_each_is_its_own(listed: Payments) -> None:
    lists = listed.do(
        examine_checkouts, CheckoutFilter(limit=1), CheckoutFilter(limit=9, tenant=TenantFilter("n"), status="PENDING")
    )
    assert [[NUMBERS[one.id] for one in each.found] for each in lists] == [[5, 4], [4, 2]]


def test_a_read_for_a_filter_that_nothing_fits_ends_after_as_many_as_it_may_examine(listed: Payments) -> None:
    (examined,) = listed.do(examine_checkouts, CheckoutFilter(limit=10, status="EXPIRED", examined_max=2))
    assert (examined.found, examined.examined_to) == ([], IDS[4])


def test_what_is_created_while_a_list_is_read_pushes_no_other_checkout_off_it(payments: Payments) -> None:
    for number in range(1, 5):
        create(payments, number)
    late = new_checkout(IDS[5].removeprefix("chk_"))
    wanted = CheckoutFilter(limit=10, status="PENDING", examined_max=2)
    (examined,) = payments.do_interrupted(create_checkouts, late, examine_checkouts, wanted)
    assert ([NUMBERS[one.id] for one in examined.found], examined.examined_to) == ([5, 4, 3], IDS[3])


def test_a_checkout_whose_id_was_made_ten_minutes_before_or_after_is_listed_by_its_time(
    payments: Payments,
) -> None:
    """Ids are made before the transaction commits, and by another clock where there are several processes."""
    for number, skew in ((1, -599_999), (2, 599_999)):
        checkout_id = ids.lowest_id(ids.CHECKOUT, NOW + number * HOUR_MS + skew)
        payments.now = NOW + number * HOUR_MS
        payments.create(checkout_id.removeprefix("chk_"))
        wanted = CheckoutFilter(limit=10, created_after=payments.now - 1, created_before=payments.now + 1)
        assert [one.id for one in payments.listing(wanted)[0]] == [checkout_id]
