"""Webhooks: the inbox of those that providers send."""
