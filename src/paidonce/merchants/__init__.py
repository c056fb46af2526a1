"""Who sells: merchants and the keys that they call with."""
