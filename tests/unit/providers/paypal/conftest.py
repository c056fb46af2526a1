"""One double for all tests of a module; and a connector alone, with a server that has the certificate of webhooks."""

from collections.abc import AsyncIterator, Iterator

import pytest

from paidonce.providers.base import Provider
from paidonce.proving.doubles.paypal.books import PATCHABLE
from paidonce.proving.doubles.paypal.server import PayPalDouble
from paidonce.proving.doubles.paypal.signing import make_chain
from tests.support.doubles import NOW, SettableClock
from tests.support.paypal import connected, paypal_double
from tests.support.raw_server import Part, RawServer, answer, raw_server


@pytest.fixture(scope="module")
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture(scope="module")
def served_double(clock: SettableClock) -> Iterator[PayPalDouble]:
    with paypal_double(clock=clock) as one:
        yield one


@pytest.fixture
def double(served_double: PayPalDouble, clock: SettableClock) -> PayPalDouble:
    served_double.next_faults.clear()
    served_double.requests.clear()
    served_double.books.patchable = PATCHABLE
    clock.now = NOW
    return served_double


@pytest.fixture
async def paypal(double: PayPalDouble, clock: SettableClock) -> AsyncIterator[Provider]:
    async with connected(double.books.url, clock=clock) as provider:
        yield provider


@pytest.fixture
def own_clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
async def server() -> AsyncIterator[RawServer]:
    async with raw_server(Part(answer(make_chain(NOW)))) as one:
        yield one


@pytest.fixture
async def connector(server: RawServer, own_clock: SettableClock) -> AsyncIterator[Provider]:
    async with connected(server.url, clock=own_clock) as provider:
        yield provider
