"""A request that is made again takes effect once: what is kept of those that bear an idempotency key."""
