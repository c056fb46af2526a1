"""One double for all tests of a module."""

from collections.abc import AsyncIterator, Iterator

import pytest

from paidonce.providers.base import Provider
from paidonce.proving.doubles.mollie.server import MollieDouble
from tests.support.doubles import SettableClock
from tests.support.mollie import connected, mollie_double


@pytest.fixture(scope="module")
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture(scope="module")
def served_double(clock: SettableClock) -> Iterator[MollieDouble]:
    with mollie_double(clock=clock) as one:
        yield one


@pytest.fixture
def double(served_double: MollieDouble) -> MollieDouble:
    served_double.next_faults.clear()
    served_double.requests.clear()
    return served_double


@pytest.fixture
async def mollie(double: MollieDouble, clock: SettableClock) -> AsyncIterator[Provider]:
    async with connected(double.books.url, clock=clock, webhook_url="") as provider:
        yield provider
