"""Fixtures of the scenarios: processes of one test, and one service that the harmless scenarios of a file share."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.databases import fresh_database
from tests.support.service_process import ServiceProcess, print_output, processes


@pytest.fixture
def sqlite_url(migrated_sqlite_url: str) -> str:
    """Use migrated databases: most scenarios begin when the service is running."""
    return migrated_sqlite_url


@pytest.fixture
def postgres_url(postgres_server_url: str, migrated_postgres_template: str) -> Iterator[str]:
    """Use migrated databases, as on SQLite: a new one for each scenario, whose processes may do anything to it."""
    with fresh_database(postgres_server_url, template=migrated_postgres_template) as url:
        yield url


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., ServiceProcess]]:
    """Start processes of paidonce: ``start("dev", DATABASE_URL=database_url)``; none outlives the test."""
    with processes(tmp_path) as started:
        yield started


@pytest.fixture(scope="module")
def shared_service(shared_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """Run one service on each kind of database, for the tests of a file that do not harm it and use their own merchant.

    It does not live longer: a service that nobody calls takes CPU, too, in a while more than it takes to start another.
    """
    with processes(tmp_path_factory.mktemp("service")) as started:
        yield started("dev", DATABASE_URL=shared_database_url).wait_until_ready()


@pytest.fixture
def service(shared_service: ServiceProcess) -> Iterator[ServiceProcess]:
    """Provide the shared service to one test; its output is shown where the test fails."""
    since_line = len(shared_service.lines)
    yield shared_service
    print_output(shared_service, since_line)
