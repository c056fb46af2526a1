from collections.abc import Iterator

import pytest

from tests.support.payments import Payments


@pytest.fixture
def on_postgresql(migrated_postgres_url: str) -> Iterator[Payments]:
    """Open an empty database on PostgreSQL, where several processes write at the same time."""
    one = Payments(migrated_postgres_url)
    yield one
    one.database.close()
