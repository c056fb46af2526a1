"""Statistics: figures for each merchant and hour, counted in the background from the event log."""
