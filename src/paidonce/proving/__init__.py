"""`paidonce prove`: it kills real processes, and compares our data with the provider's own records."""
