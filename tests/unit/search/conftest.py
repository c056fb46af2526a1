from tests.support.shared_service import anyio_backend, inside, running

__all__ = ["anyio_backend", "inside", "running"]
