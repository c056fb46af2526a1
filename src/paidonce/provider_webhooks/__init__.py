"""The inbox: what providers tell by webhook."""
