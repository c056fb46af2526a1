"""Checkouts: states, rules, use cases and SQL statements."""
