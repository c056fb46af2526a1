"""Doubles of payment providers: they behave as the provider documents, on loopback, with faults and books to read."""
