"""People at the pages about payments, of a service whose clock begins now, as the ids of checkouts hold the time."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from paidonce.clock import system_clock
from paidonce.users.model import Role
from tests.support.dashboard_client import DashboardClient, logged_in
from tests.support.in_process_service import Clock, InProcessService, open_in_process_service


@pytest.fixture
async def inside(migrated_database_url: str, tmp_path: Path) -> AsyncIterator[InProcessService]:
    clock = Clock()
    clock.now = system_clock()
    async with open_in_process_service(migrated_database_url, str(tmp_path), clock=clock) as opened:
        yield opened


@pytest.fixture
async def viewer(inside: InProcessService) -> DashboardClient:
    return await logged_in(inside, Role.VIEWER)


@pytest.fixture
async def clerk(inside: InProcessService) -> DashboardClient:
    """Somebody who may refund."""
    return await logged_in(inside, Role.REFUNDS)


@pytest.fixture
def payments(inside: InProcessService) -> str:
    """The path of the list of payments."""
    return f"/dashboard/m/{inside.merchant_id}/test/payments"
