from tests.support.shared_service import anyio_backend, on_sqlite

__all__ = ["anyio_backend", "on_sqlite"]
