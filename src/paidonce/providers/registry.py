"""The connectors of this release, by the names of their providers. Each is imported when it is first used."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Final

from paidonce.providers.base import Connector


class LazyConnectors(Mapping[str, Connector]):
    """A mapping from names to connectors. ``places`` has where each is: ``module:attribute``."""

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = places

    def __getitem__(self, name: str) -> Connector:
        """Import the connector of a provider, where it is not imported yet."""
        module, _, attribute = self._places[name].partition(":")
        connector: Connector = getattr(import_module(module), attribute)
        return connector

    def __iter__(self) -> Iterator[str]:
        """Yield the names, without importing anything."""
        return iter(self._places)

    def __len__(self) -> int:
        """Count the providers."""
        return len(self._places)


CONNECTORS: Final = LazyConnectors(
    {
        "adyen": "paidonce.providers.adyen:CONNECTOR",
        "mollie": "paidonce.providers.mollie:CONNECTOR",
        "paypal": "paidonce.providers.paypal:CONNECTOR",
        "stripe": "paidonce.providers.stripe:CONNECTOR",
    }
)
