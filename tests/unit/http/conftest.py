from tests.unit.http.rate_limit_harness import no_pause

__all__ = ["no_pause"]
