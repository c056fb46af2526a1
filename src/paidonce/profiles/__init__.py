"""Profiles: how a merchant appears to its buyers: name, logo, color, support, and whether there is a page to pay on."""
