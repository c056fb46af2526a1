"""Payment providers: the protocol that they implement, and one folder for each."""
