"""Webhooks to merchants: endpoints, deliveries as rows, and the sender."""
