"""The web layer: requests, replies and routes, as little as our calls need (docs/decisions/0017)."""
