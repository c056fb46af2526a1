"""Retention: old events, webhook deliveries and entries of the audit log are deleted, in small steps."""
