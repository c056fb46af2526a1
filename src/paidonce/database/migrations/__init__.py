"""Migrations. They expand first and contract a release later: the release before runs against the new schema."""
