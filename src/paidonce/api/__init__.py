"""The HTTP contract: controllers, bodies, headers, and the answer to every error."""
