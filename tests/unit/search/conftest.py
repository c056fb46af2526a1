from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from paidonce.clock import system_clock
from tests.support.in_process_service import Clock, InProcessService, open_in_process_service


@pytest.fixture
async def inside(migrated_database_url: str, tmp_path: Path) -> AsyncIterator[InProcessService]:
    """A service whose clock begins now, as the ids of checkouts hold the time."""
    clock = Clock()
    clock.now = system_clock()
    async with open_in_process_service(migrated_database_url, str(tmp_path), clock=clock) as opened:
        yield opened
