"""Merchants, and the API keys that they and operators call with."""
