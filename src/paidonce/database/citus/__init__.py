"""A PostgreSQL that is distributed over several nodes with the extension Citus: where its tables belong, how each
node is written to and read from, what is served while one is lost, and how the cluster is examined.

See docs/distributed.md.
"""
