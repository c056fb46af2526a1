"""The dashboard of a service in this process, on both databases."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.in_process_service import InProcessService, open_in_process_service


@pytest.fixture
async def inside(migrated_database_url: str, tmp_path: Path) -> AsyncIterator[InProcessService]:
    async with open_in_process_service(migrated_database_url, str(tmp_path), migrating=False) as opened:
        yield opened
