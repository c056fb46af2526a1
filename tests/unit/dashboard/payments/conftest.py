"""People at the pages about payments, of a service whose clock begins now, as the ids of checkouts hold the time."""

import pytest

from paidonce.users.model import Role
from tests.support.dashboard_client import DashboardClient, logged_in
from tests.support.in_process_service import InProcessService
from tests.support.shared_service import anyio_backend, inside, running

__all__ = ["anyio_backend", "clerk", "inside", "payments", "running", "viewer"]


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
