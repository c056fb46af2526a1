"""Idempotency: a request that is repeated with the same idempotency key takes effect once."""
