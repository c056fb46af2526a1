"""Who moves the money: the Provider protocol, and one folder for each provider."""
