"""One service in this process on each kind of database, and for each test a merchant and an operator that are new."""

from collections.abc import AsyncIterator
from contextlib import ExitStack

import pytest

from tests.databases import fresh_database
from tests.inside_service import InsideService, open_inside_service


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """The service outlives a test, and so does its event loop."""
    return "asyncio"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
async def shared(
    anyio_backend: str,  # noqa: ARG001 - so that they live as long
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[InsideService]:
    folder = tmp_path_factory.mktemp("service")
    with ExitStack() as stack:
        if request.param == "sqlite":
            url = f"file:{folder}/paidonce.db"
        else:
            url = stack.enter_context(fresh_database(request.getfixturevalue("postgres_server_url")))
        async with open_inside_service(url, str(folder)) as opened:
            yield opened


@pytest.fixture
async def inside(shared: InsideService) -> InsideService:
    await shared.settle()
    return shared
