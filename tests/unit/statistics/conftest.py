from tests.support.shared_service import anyio_backend, running, service

__all__ = ["anyio_backend", "running", "service"]
