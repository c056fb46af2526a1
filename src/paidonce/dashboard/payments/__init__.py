"""The pages about payments: the list with its search, the export, and one payment with what can be done about it."""
