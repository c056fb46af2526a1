"""A template of a double, for a provider that does not exist: Example Pay.

Copy this folder to ``src/paidonce/proving/doubles/<name>/``. It imports nothing of the connector: a mistake that both
shared would be found by nobody.
"""
