"""Search: finding checkouts by what people know of them, at a bounded cost for any filter."""
