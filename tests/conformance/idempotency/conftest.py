"""One service in this process on each kind of database, and for each test a merchant and an operator that are new."""

from collections.abc import AsyncIterator

import pytest

from tests.support.in_process_service import InProcessService, open_in_process_service


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """The service outlives a test, and so does its event loop."""
    return "asyncio"


@pytest.fixture(scope="module")
async def shared(
    anyio_backend: str,  # noqa: ARG001 - so that they live as long
    shared_database_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[InProcessService]:
    async with open_in_process_service(shared_database_url, str(tmp_path_factory.mktemp("service"))) as opened:
        yield opened


@pytest.fixture
async def inside(shared: InProcessService) -> InProcessService:
    await shared.settle()
    return shared
