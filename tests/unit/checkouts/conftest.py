from collections.abc import Iterator

import pytest

from tests.support.payments import Payments


@pytest.fixture
def payments(database_url: str) -> Iterator[Payments]:
    """Open an empty database, of each kind in turn."""
    one = Payments(database_url)
    yield one
    one.database.close()
