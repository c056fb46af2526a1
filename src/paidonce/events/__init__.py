"""What happened: the log that is written with every transition, in its transaction."""
