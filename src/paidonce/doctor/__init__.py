"""Checks of the configuration, of the database, and of what waits for a person, each finding with a remedy."""
