"""How it is paid: attempts, evidence, the reducer, and the worker that asks the provider."""
