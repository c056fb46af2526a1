"""One world on each kind of database, for all tests that leave the owner's things as they are."""

from collections.abc import AsyncIterator

import pytest

from tests.isolation.world import World, open_world


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """The world outlives a test, and so does its event loop."""
    return "asyncio"


@pytest.fixture(scope="module")
async def world(
    anyio_backend: str,  # noqa: ARG001 - so that they live as long
    shared_database_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[World]:
    async with open_world(shared_database_url, tmp_path_factory.mktemp("world")) as settled:
        yield settled
