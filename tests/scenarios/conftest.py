"""Who plays in the stories: processes of a test's own, and one service that the gentle stories share."""

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
def start(tmp_path: Path) -> Iterator[Callable[..., ServiceProcess]]:
    """Start processes of paidonce: ``start("dev", DATABASE_URL=database_url)``; none outlives the test."""
    with processes(tmp_path) as started:
        yield started


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def shared_service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServiceProcess]:
    """Run one service on each kind of database, for all tests that neither harm it nor look beyond their merchant."""
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
    """Draw lots by a seed, which stands beside a failure: ``TEST_SEED=… make test`` draws the same again."""
    seed = int(os.environ.get("TEST_SEED") or secrets.randbelow(2**32))
    sys.stdout.write(f"TEST_SEED={seed}\n")
    return Random(seed)


@pytest.fixture
def service(shared_service: ServiceProcess) -> Iterator[ServiceProcess]:
    """Lend the shared service to one test; what it said meanwhile is there for a failure."""
    since_line = len(shared_service.lines)
    yield shared_service
    print_output(shared_service, since_line)
