from collections.abc import Iterator

import pytest

from tests.support.payments import Payments


@pytest.fixture
def payments(migrated_database_url: str) -> Iterator[Payments]:
    """Open an empty database, of each kind in turn."""
    one = Payments(migrated_database_url)
    yield one
    one.database.close()
