"""A service with authentication, a merchant, and an API key of each kind."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from click.testing import CliRunner

from paidonce.cli import main
from tests.support.service_process import ServiceProcess, processes


@dataclass(frozen=True)
class AuthenticatedService:
    """``admin`` is an operator key, ``merchant`` a key of the merchant ``m123``."""

    service: ServiceProcess
    admin: str
    merchant: str

    @property
    def url(self) -> str:
        return self.service.url

    def client(self, key: str = "") -> httpx.Client:
        """Return a client with or without an API key."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30)


@contextmanager
def authenticated_service(folder: Path, **settings: str) -> Iterator[AuthenticatedService]:
    """Run a service with authentication on SQLite."""
    url = f"file:{folder}/paidonce.db"
    with processes(folder) as start:
        service = start("dev", DATABASE_URL=url, PAIDONCE_AUTH="keys", **settings).wait_until_ready()

        def operate(*arguments: str) -> str:
            done = CliRunner().invoke(main, arguments, env={"DATABASE_URL": url})
            assert done.exit_code == 0, done.output
            return done.stdout.strip()

        operate("merchants", "create", "m123")
        yield AuthenticatedService(service, operate("keys", "create", "--admin"), operate("keys", "create", "m123"))
