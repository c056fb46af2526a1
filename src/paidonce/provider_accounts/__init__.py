"""Accounts of merchants with payment providers: their credentials, and the providers that are opened with them."""
