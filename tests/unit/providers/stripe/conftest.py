"""One double for all tests of a module."""

from collections.abc import AsyncIterator, Iterator

import pytest

from paidonce.providers.base import Provider
from paidonce.proving.doubles.stripe.server import SECRET_KEY, StripeDouble
from tests.support.doubles import SettableClock
from tests.support.stripe import connected, stripe_double


@pytest.fixture(scope="module")
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture(scope="module")
def served_double(clock: SettableClock) -> Iterator[StripeDouble]:
    with stripe_double(clock=clock) as one:
        yield one


@pytest.fixture
def double(served_double: StripeDouble) -> StripeDouble:
    served_double.next_faults.clear()
    served_double.requests.clear()
    served_double.accounts.clear()
    served_double.accounts[SECRET_KEY] = None
    return served_double


@pytest.fixture
async def stripe(double: StripeDouble, clock: SettableClock) -> AsyncIterator[Provider]:
    async with connected(double.books.url, clock=clock) as provider:
        yield provider
