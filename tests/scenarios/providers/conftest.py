"""Each scenario runs with each provider, on each kind of database."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final

import pytest

from tests.scenarios.providers.address import ProviderAddress
from tests.scenarios.providers.adyen_kit import AdyenKit
from tests.scenarios.providers.kits import ProviderKit
from tests.scenarios.providers.mollie_kit import MollieKit
from tests.scenarios.providers.paypal_kit import PayPalKit
from tests.scenarios.providers.shop import Host, Shop
from tests.scenarios.providers.stripe_kit import StripeKit
from tests.support.databases import fresh_database
from tests.support.service_process import print_output, processes

ALL_KITS: Final[tuple[type[ProviderKit], ...]] = (AdyenKit, MollieKit, PayPalKit, StripeKit)


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def shared_host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    folder = tmp_path_factory.mktemp("providers")
    with ExitStack() as stack:
        if request.param == "sqlite":
            url = f"file:{folder}/paidonce.db"
        else:
            url = stack.enter_context(fresh_database(request.getfixturevalue("postgres_server_url")))
        addresses = {kit.name: ProviderAddress() for kit in ALL_KITS}
        host = Host(stack.enter_context(processes(folder)), url, addresses)
        stack.enter_context(host.http)
        yield host
        for address in addresses.values():
            address.close()


@pytest.fixture
def host(shared_host: Host) -> Iterator[Host]:
    """Provide the service to one test; its output is shown where the test fails."""
    since_line = len(shared_host.service.lines)
    yield shared_host
    print_output(shared_host.service, since_line)


@pytest.fixture(params=ALL_KITS, ids=lambda kit: kit.name)
def kit(request: pytest.FixtureRequest) -> ProviderKit:
    found: ProviderKit = request.param()
    return found


@pytest.fixture
def shop(host: Host, kit: ProviderKit) -> Iterator[Shop]:
    found = Shop(host, kit)
    yield found
    found.address.end_trouble()
