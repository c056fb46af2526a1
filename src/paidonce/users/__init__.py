"""People who use the dashboard: users, their roles and passwords, sessions, and the audit log."""
