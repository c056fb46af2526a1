"""Fixtures of a service in this process that all tests of a module share, each with a merchant of its own.

A ``conftest.py`` imports those that its folder needs, with ``anyio_backend``.
"""

from collections.abc import AsyncIterator

import pytest

from paidonce.clock import system_clock
from tests.support.in_process_service import NOW, InProcessService, open_in_process_service


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """The service outlives a test, and so does its event loop."""
    return "asyncio"


@pytest.fixture(scope="module")
async def running(
    anyio_backend: str,  # noqa: ARG001 - so that they live as long
    shared_database_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[InProcessService]:
    folder = tmp_path_factory.mktemp("service")
    async with open_in_process_service(shared_database_url, str(folder)) as service:
        yield service


@pytest.fixture(scope="module")
async def on_sqlite(
    anyio_backend: str,  # noqa: ARG001 - so that they live as long
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[InProcessService]:
    """Open a service on SQLite alone, for what is decided before any database is asked."""
    folder = tmp_path_factory.mktemp("service")
    async with open_in_process_service(f"file:{folder}/paidonce.db", str(folder)) as service:
        yield service


@pytest.fixture
async def inside(running: InProcessService) -> InProcessService:
    """The service with a merchant without any data. Its clock begins now, as the ids of checkouts hold the time."""
    running.clock.now = system_clock()
    await running.settle()
    return running


@pytest.fixture
async def service(running: InProcessService) -> InProcessService:
    """The service with a merchant without any data, at a known time."""
    running.clock.now = NOW
    await running.settle()
    return running
