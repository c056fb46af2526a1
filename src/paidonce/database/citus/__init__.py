"""A PostgreSQL that is distributed over several nodes with the extension Citus: where its tables belong, and how it is
examined. See docs/distributed.md.
"""
