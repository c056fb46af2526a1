"""Webhooks from payment providers: stored once, then applied."""
