"""The simulated provider: its books, the test payment methods, and the faults that they bring about."""
