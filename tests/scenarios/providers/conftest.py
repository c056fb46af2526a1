"""Each scenario runs with each provider, on each kind of database."""

from collections.abc import Iterator
from typing import Final

import pytest

from tests.scenarios.providers.address import ProviderAddress
from tests.scenarios.providers.adyen_kit import AdyenKit
from tests.scenarios.providers.kits import ProviderKit
from tests.scenarios.providers.mollie_kit import MollieKit
from tests.scenarios.providers.paypal_kit import PayPalKit
from tests.scenarios.providers.shop import Host, Shop
from tests.scenarios.providers.stripe_kit import StripeKit
from tests.support.service_process import print_output, processes

ALL_KITS: Final[tuple[type[ProviderKit], ...]] = (AdyenKit, MollieKit, PayPalKit, StripeKit)


@pytest.fixture(scope="module")
def shared_host(shared_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    addresses = {kit.name: ProviderAddress() for kit in ALL_KITS}
    with processes(tmp_path_factory.mktemp("providers")) as start:
        host = Host(start, shared_database_url, addresses)
        with host.http:
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
