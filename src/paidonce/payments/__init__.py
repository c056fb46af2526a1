"""Payments: attempts, evidence, the function that decides over it, and the worker that calls providers."""
