"""The connectors of this release: each can be imported, and none is before it is used."""

import subprocess
import sys
from importlib.util import find_spec

import pytest

from paidonce.providers.registry import CONNECTORS, LazyConnectors
from paidonce.settings import Settings


@pytest.mark.parametrize("name", list(CONNECTORS))
def test_every_connector_has_the_name_of_its_provider_and_asks_for_credentials(name: str) -> None:
    if find_spec(f"paidonce.providers.{name}") is None:
        pytest.skip("this connector is not in this tree yet")
    connector = CONNECTORS[name]
    assert connector.name == name
    assert connector.credential_fields


def test_every_provider_has_a_setting_for_its_url() -> None:
    assert set(Settings().provider_urls) == set(CONNECTORS)
    assert Settings(stripe_url="http://127.0.0.1:9").provider_urls["stripe"] == "http://127.0.0.1:9"


def test_a_connector_is_imported_when_it_is_used_and_not_before() -> None:
    program = (
        "import sys; from paidonce.providers.registry import LazyConnectors; "
        "connectors = LazyConnectors({'one': 'colorsys:ONE_THIRD'}); "
        "assert (list(connectors), len(connectors), connectors.get('two')) == (['one'], 1, None); "
        "assert 'colorsys' not in sys.modules; "
        "assert connectors['one'] == 1 / 3; "
        "assert 'colorsys' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_an_unknown_provider_has_no_connector() -> None:
    assert LazyConnectors({}).get("nobody") is None
