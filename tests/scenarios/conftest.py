"""Fixtures of the scenarios: processes of one test, and one service that harmless scenarios share."""

import os
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from random import Random

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


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def shared_service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServiceProcess]:
    """Run one service on each kind of database, for all tests that do not harm it and use their own merchant."""
    folder = tmp_path_factory.mktemp("shared")
    with ExitStack() as stack:
        if request.param == "sqlite":
            url = f"file:{folder}/paidonce.db"
        else:
            url = stack.enter_context(fresh_database(request.getfixturevalue("postgres_server_url")))
        started = stack.enter_context(processes(folder))
        yield started("dev", DATABASE_URL=url).wait_until_ready()


@pytest.fixture
def chance() -> Random:
    """Return a random number generator. Its seed is shown for a failed test; ``TEST_SEED=… make test`` repeats it."""
    seed = int(os.environ.get("TEST_SEED") or secrets.randbelow(2**32))
    sys.stdout.write(f"TEST_SEED={seed}\n")
    return Random(seed)


@pytest.fixture
def service(shared_service: ServiceProcess) -> Iterator[ServiceProcess]:
    """Provide the shared service to one test; its output is shown where the test fails."""
    since_line = len(shared_service.lines)
    yield shared_service
    print_output(shared_service, since_line)
