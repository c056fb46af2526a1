"""A simulated provider for one test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.simulated_provider import SimulatedProvider


@pytest.fixture
async def provider(tmp_path: Path) -> AsyncIterator[SimulatedProvider]:
    one = SimulatedProvider(tmp_path / "books.db")
    await one.books.start()
    yield one
    await one.close()
