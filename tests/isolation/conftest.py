"""One world on each kind of database, for all tests that leave the owner's things as they are."""

from collections.abc import AsyncIterator
from contextlib import ExitStack

import pytest

from tests.databases import fresh_database
from tests.isolation.world import World, open_world


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """The world outlives a test, and so does its event loop."""
    return "asyncio"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
async def world(
    anyio_backend: str,  # noqa: ARG001 - so that they live as long
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[World]:
    folder = tmp_path_factory.mktemp("world")
    with ExitStack() as stack:
        if request.param == "sqlite":
            url = f"file:{folder}/paidonce.db"
        else:
            url = stack.enter_context(fresh_database(request.getfixturevalue("postgres_server_url")))
        async with open_world(url, folder) as settled:
            yield settled
