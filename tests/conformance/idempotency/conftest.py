"""One service in this process on each kind of database, and for each test a merchant and an operator that are new."""

from tests.support.shared_service import anyio_backend, inside, running

__all__ = ["anyio_backend", "inside", "running"]
