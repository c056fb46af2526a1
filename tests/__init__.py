"""A package, because a dependency (apimatic-core) installs another of this name, which would hide it."""
