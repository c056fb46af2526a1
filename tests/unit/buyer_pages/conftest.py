"""A merchant whose buyers pay on the pages of checkouts."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.buyer_pages import BuyerPagesShop
from tests.support.in_process_service import open_in_process_service


@pytest.fixture
async def shop(migrated_sqlite_url: str, tmp_path: Path) -> AsyncIterator[BuyerPagesShop]:
    """Open a service in this process."""
    async with open_in_process_service(migrated_sqlite_url, str(tmp_path)) as running:
        yield BuyerPagesShop(running)
