from tests.unit.merchants.api_key_cache_harness import on

__all__ = ["on"]
