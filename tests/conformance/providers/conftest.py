"""Each test of the contract runs with each kit."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.conformance.providers.adyen_kit import adyen
from tests.conformance.providers.kits import KITS, Kit, Running
from tests.conformance.providers.mollie_kit import mollie
from tests.conformance.providers.paypal_kit import paypal
from tests.conformance.providers.stripe_kit import stripe
from tests.connector_template.conformance_kit import example
from tests.support.service_process import ServiceProcess, processes


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with processes(tmp_path_factory.mktemp("provider")) as start:
        simulators: list[ServiceProcess] = []

        def one() -> ServiceProcess:
            if not simulators or simulators[-1].process.poll() is not None:
                simulators.append(start("simulator", "--port", "0", "--database", "books.db"))
            return simulators[-1]

        yield one


ALL_KITS: Final = {**KITS, "Adyen": adyen, "Mollie": mollie, "PayPal": paypal, "Stripe": stripe, "template": example}


@pytest.fixture(params=ALL_KITS)
async def kit(request: pytest.FixtureRequest, tmp_path: Path, running: Running) -> AsyncIterator[Kit]:
    async with ALL_KITS[request.param](tmp_path, running) as one:
        yield one
