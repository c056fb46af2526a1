"""Background work: one engine for jobs that are claimed under a lease, and one for steps that are repeated."""
