"""The HTTP contract: a table of calls, who answers them, bodies, headers, and the answer to every error."""
