"""Provider accounts on a database of each kind."""

from collections.abc import Iterator

import pytest

from tests.unit.provider_accounts.harness import AccountHarness


@pytest.fixture
def harness(database_url: str) -> Iterator[AccountHarness]:
    one = AccountHarness(database_url)
    yield one
    one.database.close()
