"""Events: the log that is written in the transaction of every transition, and its streams."""
