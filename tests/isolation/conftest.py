"""One world on each kind of database, for all tests that leave the owner's things as they are; and one service."""

from collections.abc import AsyncIterator

import pytest

from tests.isolation.world import World, open_world
from tests.support.shared_service import anyio_backend, on_sqlite, running

__all__ = ["anyio_backend", "on_sqlite", "running", "world"]


@pytest.fixture(scope="module")
async def world(
    anyio_backend: str,  # noqa: ARG001 - so that they live as long
    shared_database_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[World]:
    async with open_world(shared_database_url, tmp_path_factory.mktemp("world")) as settled:
        yield settled
