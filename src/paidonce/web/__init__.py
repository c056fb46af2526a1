"""The HTTP client (docs/decisions/0019)."""
